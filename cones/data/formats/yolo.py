"""YOLO: a data.yaml that names classes and split folders, and a text file of fractions beside each folder of pictures.

A line is `class x y width height` (x and y of the centre) or `class x1 y1 x2 y2 x3 y3 …` (a polygon), from 0 to 1.
A picture's text file lies where its path says `labels` instead of `images` (the last such folder), or
beside it. A picture without one, or with an empty one, shows nothing, as everywhere in YOLO.

Without data.yaml, as Label Studio and LabelImg export it, `data` is the list of names (classes.txt) and `images` says
where the pictures lie. Coordinates are taken of the picture as shown (EXIF), as Ultralytics reads them.
"""

from collections.abc import Collection, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from cones.data.files import PictureFolder, files_below, item_names, plain, without_suffix
from cones.data.formats.reading import number_of, read_text
from cones.data.formats.records import NativeFiles, Object, Record
from cones.data.masks import area_of, bounds_of
from cones.runtime.strict import Strict

FORMAT = {"name": "yolo"}
VERSION = 1
SPLITS = ("train", "val", "test")
SLACK = 0.01  # of a picture, as Ultralytics allows; what is further outside is no fraction


class Parameters(Strict):
    root: str = "."
    data: str = "data.yaml"  # also a plain list of names, one a line
    images: str | dict[str, str] | None = None  # instead of data.yaml's: folder of pictures, or {native split: folder}


def convert(native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    """One record per picture; `item_id` is `<split>/<path below its folder>`, native splits are data.yaml's.

    With one folder of pictures for all there is no native split. A text file without its picture is an error.
    """
    root = native.root(parameters.root)
    file = root / parameters.data
    if not file.is_file():
        raise native.fault(
            "the file of class names is missing",
            file,
            expected="data.yaml, or a list of names such as classes.txt by `data`",
            found=native.instead(".yaml", ".yml", ".names", "classes.txt", "_darknet.labels"),
            next_step=native.mend(f"put it there, or correct `root` or `data` in {native.registry}"),
        )
    content = _read_yaml(file, native) if file.suffix.lower() in (".yaml", ".yml") else {}
    if isinstance(path := content.get("path"), str) and (root / path).is_dir():  # else of the machine that wrote it
        root = root / path
    names = _names(content, file, native)
    has_keypoints = "kpt_shape" in content
    texts = {without_suffix(path.relative_to(root)): path for path in files_below(root, (".txt",))}
    for split, source in _sources(content, file, native, parameters).items():
        pictures = _Pictures(split, source, root, texts, native)
        for item, picture, labels in pictures.with_labels():
            objects = _objects(labels, picture, names, has_keypoints, native) if labels else ()
            yield Record(item_id=item, image=native.relative(picture), objects=objects, split=split, frame="upright")


def _read_yaml(file: Path, native: NativeFiles) -> dict:
    from cones.runtime.errors import ConesError
    from cones.runtime.strict import read_yaml

    try:
        content = read_yaml(file)
    except ConesError as error:
        raise native.fault(error.what, file, found=error.found, next_step=native.mend()) from None
    if not isinstance(content, dict):
        raise native.fault("not a data.yaml", file, expected="names, train, val, test", next_step=native.mend())
    return content


def _names(content: dict, file: Path, native: NativeFiles) -> dict[int, str]:
    """`{class number: name}` of data.yaml's list or mapping, or of a list of names, one a line."""
    if file.suffix.lower() not in (".yaml", ".yml"):
        listed: Any = read_text(file, native).splitlines()
    else:
        listed = content.get("names")
    if isinstance(listed, list):
        listed = dict(enumerate(listed))
    if not isinstance(listed, dict) or not listed or any(number_of(key) is None for key in listed):
        raise native.fault(
            "no names of classes", file, expected="names: [first, second] or {0: first, 1: second}", found=listed,
            next_step=native.mend(),
        )  # fmt: skip
    for key, name in listed.items():
        if isinstance(name, bool) or name is None:
            raise native.fault(
                f"YAML reads the name of class {key} as {str(name).lower()}, not as text",
                file,
                next_step="put the names in quotes: 'yes', 'no'",
            )
    if isinstance(counted := content.get("nc"), int) and counted != len(listed):
        raise native.fault("nc is not the number of names", file, expected=counted, found=len(listed))
    return {int(number_of(key)): str(name).strip() for key, name in listed.items()}


def _sources(content: dict, file: Path, native: NativeFiles, parameters: Parameters) -> dict[str | None, Any]:
    """`{native split: folder, folders or list of pictures}` as written."""
    if isinstance(parameters.images, dict):
        return dict(parameters.images)
    if isinstance(parameters.images, str):
        return {None: parameters.images}
    found = {split: content.get(split) or (content.get("valid") if split == "val" else None) for split in SPLITS}
    found = {split: value for split, value in found.items() if value}
    if not found and not content:
        return {None: "images"}
    if not found:
        raise native.fault(
            "no split is named",
            file,
            expected="train, val, test: folders of pictures",
            next_step=f"add them, or set `images` in the dataset's `format` in {native.registry}",
        )
    return found


class _Pictures:
    """The pictures of one split, and the text file of each."""

    def __init__(self, split: str | None, source: Any, root: Path, texts: dict[str, Path], native: NativeFiles):
        self.split, self.root, self.native = split, root, native
        self.texts = texts  # {path below root without suffix, as compared: text file}
        self.listed = 0
        self.absent: list[str] = []
        self.folders: list[PictureFolder] = []
        self.chosen: list[Path] = []  # of a list of pictures
        for one in source if isinstance(source, list) else [source]:
            place = self._place(str(one))
            if place.is_dir():
                self.folders.append(PictureFolder(place))
            else:
                self.chosen += self._listed_in(place)

    def _place(self, name: str) -> Path:
        """The folder or list that data.yaml names.

        Of a path of another machine, or one with `..` as Roboflow writes it, only the end must be there, two folders
        of it at least.
        """
        written = PurePosixPath(plain(name)).parts
        parts = [part for part in written if part not in ("..", ".", "/") and ":" not in part]
        shortest = len(parts) if len(parts) == len([part for part in written if part != "."]) else min(2, len(parts))
        for length in range(len(parts), shortest - 1, -1):
            if (place := self.root.joinpath(*parts[len(parts) - length :])).exists():
                return place
        present = sorted(path.name for path in self.root.iterdir())
        raise self.native.fault(
            f"the pictures of split {self.split} are not there",
            self.root,
            expected=name,
            found=", ".join(present[:8]) or "nothing",
            next_step=self.native.mend(
                f"take `{self.split}` out of data.yaml if there are none, or correct the folder that it names there"
            ),
        )

    def _listed_in(self, file: Path) -> list[Path]:
        lines = [line.strip() for line in read_text(file, self.native).splitlines() if line.strip()]
        everything, found = PictureFolder(self.root), []
        for line in lines:
            path = everything.by_end(line)
            found += [path] if path else []
            self.absent += [] if path else [line]
        self.listed = len(lines)
        return found

    def with_labels(self) -> Iterator[tuple[str, Path, Path | None]]:
        """`(item id, picture, its text file or None)`; a text file without a picture is an error."""
        pictures = [path for folder in self.folders for path in folder.paths] + self.chosen
        if not pictures:
            raise self.native.fault(f"no picture of split {self.split}", self.root, next_step=self.native.mend())
        base = self.folders[0].folder if len(self.folders) == 1 and not self.chosen else self.root
        names = item_names(path.relative_to(base).as_posix() for path in pictures)
        used: dict[Path | None, Path] = {}
        for path in pictures:
            name = names[path.relative_to(base).as_posix()]
            item = f"{self.split}/{name}" if self.split else name
            labels = self._labels(path)
            rival = used.setdefault(labels, path)
            if self.native.skips(item):
                continue
            if labels and rival != path:
                raise self.native.fault(
                    "two pictures have the name of one text file",
                    labels,
                    found=f"{self.native.relative(rival)} and {self.native.relative(path)}",
                    next_step=f'remove one of them, or leave it out: `exclude: ["{item}"]`',
                )
            if labels is None:
                self.native.note("a picture without a text file, kept as a picture without boxes", path)
            yield item, path, labels
        self._check_lonely(used)
        if self.absent:
            self.native.leave_out_missing(self.absent, max(self.listed, len(self.absent)), self.root)

    def _labels(self, picture: Path) -> Path | None:
        place = picture.relative_to(self.root)
        names = [without_suffix(path) for path in (_twin(place), place) if path]
        return next((self.texts[name] for name in names if name in self.texts), None)

    def _check_lonely(self, used: Collection[Path | None]) -> None:
        """Refuse text files in the folders of labels that belong to no picture."""
        lonely = []
        for folder in self.folders:
            place = self.root / (_twin(folder.folder.relative_to(self.root)) or folder.folder.relative_to(self.root))
            if place == folder.folder or not place.is_dir():
                continue  # beside the pictures lie other text files too
            for file in files_below(place, (".txt",)):
                stem = without_suffix(file.relative_to(place))
                item = f"{self.split}/{stem}" if self.split else stem
                if file not in used and not self.native.skips(item) and stem != "classes":
                    lonely.append(f"{stem}.* (of {self.native.relative(file)})")
        if lonely:
            listed = len(lonely) + sum(path is not None for path in used)
            what, hint = "pictures of text files", "remove the text file"
            self.native.leave_out_missing(lonely, listed, self.folders[0].folder, what=what, hint=hint)
        elif self.folders and not any(used):
            raise self.native.fault(
                f"no picture of split {self.split} has a text file",
                self.folders[0].folder,
                expected="labels/<name>.txt beside images/<name>.jpg",
                next_step=self.native.mend("put the folder `labels` beside `images`"),
            )


def _twin(path: Path) -> Path | None:
    """The path with its last folder `images` called `labels`; None if there is none."""
    parts = list(path.parts)
    places = [number for number, part in enumerate(parts) if part.lower() == "images"]
    if not places:
        return None
    parts[places[-1]] = "labels"
    return Path(*parts)


def _objects(
    file: Path, picture: Path, names: dict[int, str], has_keypoints: bool, native: NativeFiles
) -> tuple[Object, ...]:
    lines = [line.split() for line in read_text(file, native).splitlines()]
    if not any(lines):
        return ()
    size = native.size_of(picture)
    return tuple(
        _object(words, number, size, file, names, has_keypoints, native)
        for number, words in enumerate(lines, start=1)
        if words
    )


def _object(
    words: list[str],
    number: int,
    size: tuple[int, int],
    file: Path,
    names: dict[int, str],
    has_keypoints: bool,
    native: NativeFiles,
) -> Object:
    values = [number_of(word) for word in words]
    where = {"found": " ".join(words)[:80], "next_step": "correct the line"}
    if None in values or values[0] != int(values[0]):
        raise native.fault(f"line {number} is no object", file, expected="a class number, then fractions", **where)
    if int(values[0]) not in names:
        known = f"{min(names)} to {max(names)}"
        raise native.fault(f"line {number} has a class number without a name", file, expected=known, **where)
    class_name = native.known_class(names[int(values[0])], file)
    shape = values[1:5] if has_keypoints else values[1:]
    is_polygon = len(shape) >= 6 and len(shape) % 2 == 0
    if len(shape) != 4 and not is_polygon:
        raise native.fault(
            f"line {number} is neither a box nor a polygon", file, expected="4 numbers, or 6 and more in pairs", **where
        )
    if not all(-SLACK <= value <= 1 + SLACK for value in shape):
        raise native.fault(f"line {number} is not in fractions", file, expected="numbers from 0 to 1", **where)
    if is_polygon:
        polygon = [[value * size[index % 2] for index, value in enumerate(shape)]]
        mask = polygon if native.wants_masks else None
        return Object(class_name=class_name, box=bounds_of(polygon), area=area_of(polygon), segmentation=mask)
    if native.wants_masks:
        raise native.fault(
            f"line {number} is a box, and the task is instance_segmentation", file, expected="a polygon", **where
        )
    x, y, width, height = (value * side for value, side in zip(shape, size * 2, strict=True))
    return Object(class_name=class_name, box=(x - width / 2, y - height / 2, width, height))
