"""Files in folders of users: which are pictures, which an operating system left, and how names match files."""

import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath

PICTURES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm")
ANNOTATIONS = (".xml", ".json", ".txt", ".csv", ".yaml", ".yml", ".md")
LFS_POINTER = b"version https://git-lfs"
# what Windows, macOS and network drives leave beside the files of a person
SYSTEM = frozenset(
    {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", ".ds_store", "@eadir", "$recycle.bin", "icon\r"}
)


def is_system(name: str) -> bool:
    """Whether a system left this file or folder there: `Thumbs.db`, `.DS_Store`, `._a.jpg` (macOS's half of a file)."""
    return name.startswith("._") or name.lower() in SYSTEM


def is_hidden(name: str) -> bool:
    """Whether a file or folder is no data of a person: a dot-file or one that a system left."""
    return name.startswith(".") or is_system(name)


def plain(name: str) -> str:
    """A relative name normalised for comparison: with /, and in the composed form of Unicode (macOS decomposes)."""
    return unicodedata.normalize("NFC", name.replace("\\", "/")).removeprefix("./")


def files_below(folder: Path, suffixes: Sequence[str] | None = None, *, deep: bool = True) -> list[Path]:
    """The files of a folder and, if `deep`, of its sub-folders (linked ones too), sorted; none that are hidden.

    `suffixes` in lower case, such as PICTURES.
    """
    candidates = _walk(folder) if deep else (entry for entry in folder.glob("*") if entry.is_file())
    return sorted(
        path
        for path in candidates
        if not is_hidden(path.name) and (suffixes is None or path.suffix.lower() in suffixes)
    )


def _walk(folder: Path) -> Iterator[Path]:
    seen: set[str] = set()  # real paths: a link to a folder above would never end
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        yield from (Path(place) / name for name in names)


def leads_out(name: str) -> bool:
    """Whether a path is one of another machine, or leaves the folder that it is relative to."""
    name = plain(name)
    return name.startswith(("/", "~")) or ":" in name or ".." in PurePosixPath(name).parts


def is_lfs_pointer(path: Path) -> bool:
    """Whether Git left a note here in place of a large file."""
    with path.open("rb") as file:
        return file.read(len(LFS_POINTER)) == LFS_POINTER


def without_suffix(path: PurePosixPath | Path) -> str:
    """A path without its suffix, normalised: `cam0/a.b.png` -> `cam0/a.b`."""
    return plain(path.with_suffix("").as_posix())


def item_names(paths: Iterable[str]) -> dict[str, str]:
    """`{relative path: name of the item}`: the path without its suffix, or with it where two differ only in it."""
    paths = list(dict.fromkeys(paths))
    taken = Counter(without_suffix(PurePosixPath(path)) for path in paths)
    short = {path: without_suffix(PurePosixPath(path)) for path in paths}
    return {path: name if taken[name] == 1 else plain(path) for path, name in short.items()}


def namesakes(folder: Path, name: str) -> list[Path]:
    """The files below a folder that may be the picture `name` (`a/b.png`, `b.*`): of its stem, in any case, place and
    suffix but those of annotations; pictures first."""
    stem = PurePosixPath(plain(name)).stem.casefold()
    found = [
        path
        for path in files_below(folder)
        if plain(path.stem).casefold() == stem and path.suffix.lower() not in ANNOTATIONS
    ]
    return sorted(found, key=lambda path: path.suffix.lower() not in PICTURES)


class PictureFolder:
    """The pictures below a folder, looked up by name, whatever its case, Unicode form or slashes.

    `others` are files that are no pictures.
    """

    def __init__(self, folder: Path, *, deep: bool = True):
        self.folder = folder
        every = files_below(folder, deep=deep)
        self.paths = [path for path in every if path.suffix.lower() in PICTURES]
        self.others = [path for path in every if path.suffix.lower() not in PICTURES]
        self._exact: dict[str, Path] = {}
        self._folded: defaultdict[str, list[Path]] = defaultdict(list)
        self._stems: defaultdict[str, list[Path]] = defaultdict(list)
        self._bases: defaultdict[str, list[Path]] = defaultdict(list)
        for path in self.paths:
            name = self.relative(path)
            self._exact.setdefault(name, path)
            self._folded[name.casefold()].append(path)
            self._stems[without_suffix(PurePosixPath(name))].append(path)
            self._bases[PurePosixPath(name).name].append(path)

    def relative(self, path: Path) -> str:
        """A picture's path below the folder, normalised."""
        return plain(path.relative_to(self.folder).as_posix())

    def named(self, name: str) -> Path | None:
        """The picture of a relative name, or the only one that differs from it in upper and lower case; else None."""
        name = plain(name)
        if name in self._exact:
            return self._exact[name]
        alike = self._folded.get(name.casefold(), [])
        return alike[0] if len(alike) == 1 else None

    def by_end(self, name: str) -> Path | None:
        """The picture that the longest end of a path of another machine names."""
        parts = [part for part in PurePosixPath(plain(name)).parts if part not in ("..", ".", "/")]
        return next(filter(None, map(self.named, ("/".join(parts[start:]) for start in range(len(parts))))), None)

    def of_stem(self, stem: str) -> list[Path]:
        """The pictures whose relative path without suffix is `stem`."""
        return self._stems.get(plain(stem), [])

    def of_base(self, name: str) -> list[Path]:
        """The pictures of this file name, in whichever sub-folder."""
        return self._bases.get(PurePosixPath(plain(name)).name, [])
