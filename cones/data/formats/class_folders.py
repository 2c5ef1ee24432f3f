"""Class folders: the pictures of a class lie in a folder of its name, below split folders where there are some."""

from collections.abc import Iterator
from pathlib import Path

from cones.data.files import PICTURES, files_below, is_hidden, plain
from cones.data.formats.records import NativeFiles, Record
from cones.runtime.errors import closest
from cones.runtime.strict import Strict

FORMAT = {"name": "class_folders"}
VERSION = 1
LOOSE = "a picture beside the class folders, left out"
NO_PICTURE = "a file of a class folder that is no picture, left out"
IGNORED = "a folder that the entry ignores, left out"


class Parameters(Strict):
    root: str = "."  # folder under raw/
    folders: tuple[str, ...] = ()  # the native splits, such as [train, val, test]; none: the files have no splits
    within: tuple[str, ...] = (".",)  # below each split, the folders that hold the class folders
    inside: str = "."  # below each class folder, where its pictures are
    ignore: tuple[str, ...] = ()  # class folders that are no classes, such as BACKGROUND_Google


def class_names(native: NativeFiles, parameters: Parameters) -> dict[str, None]:
    """The folder names, in the entry's order where it names the same classes, else sorted; ConesError if a split has
    a class that the first one lacks, or a class folder of the first split is empty."""
    found = _class_folders(native, parameters)
    first, *others = found
    for split in others:
        if more := sorted(set(found[split]) - set(found[first])):
            guess = closest(more[0], found[first])
            raise native.fault(
                f"{len(more)} classes of {split} are not in {first}",
                found[split][more[0]][0],
                found=", ".join(more[:5]),
                next_step=native.mend(f"{guess} rename the folder, or add it to `ignore` in {native.registry}"),
            )
    names = sorted(found[first])
    return dict.fromkeys(native.classes if sorted(native.classes) == names else names)


def convert(native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    """One record per picture, `item_id` its path; the split is the split folder's name."""
    for split, classes in _class_folders(native, parameters).items():
        for name, places in classes.items():
            below = [path for place in places for path in files_below(place / parameters.inside)]
            pictures = [path for path in below if path.suffix.lower() in PICTURES]
            if not pictures:
                raise native.fault(
                    f'no picture of class "{name}"',
                    places[0] / parameters.inside,
                    expected=f"files ending in {', '.join(PICTURES[:6])} …",
                    next_step=native.mend(f"put pictures there, or add it to `ignore` in {native.registry}"),
                )
            for path in below:
                _note_once(native, NO_PICTURE, path, path.suffix.lower() not in PICTURES)
            for path in pictures:
                yield Record(
                    item_id=plain(native.relative(path)),
                    image=native.relative(path),
                    objects=(),
                    split=split,
                    label=name,
                )


def _class_folders(native: NativeFiles, parameters: Parameters) -> dict[str | None, dict[str, list[Path]]]:
    """{native split, or None: {class: its folders}}; what lies beside them is noted once."""
    root, found = native.root(parameters.root), {}
    for split in parameters.folders or (None,):
        base = root if split is None else native.root(f"{parameters.root}/{split}", "folders")
        found[split] = {}
        for part in parameters.within:
            place = base if part == "." else native.root(native.relative(base / part), "within")
            for folder in sorted(place.iterdir()):
                if not folder.is_dir() or is_hidden(folder.name):
                    _note_once(native, LOOSE, folder, folder.suffix.lower() in PICTURES and not is_hidden(folder.name))
                elif folder.name in parameters.ignore:
                    _note_once(native, IGNORED, folder, True)
                else:
                    found[split].setdefault(plain(folder.name), []).append(folder)
        if not found[split]:
            raise native.fault("no class folder is there", base, next_step=native.mend("put one folder for each class"))
    return found


def _note_once(native: NativeFiles, what: str, path: Path, is_noted: bool) -> None:
    if is_noted and native.relative(path) not in native.notes.get(what, ()):
        native.note(what, path)
