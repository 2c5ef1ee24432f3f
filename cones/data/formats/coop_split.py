"""A split file as CoOp writes it: {"train": [[path, label, class name], …], "val": …, "test": …} beside the pictures.

KaiyangZhou/CoOp DATASETS.md and datasets/oxford_pets.py (`read_split`); BiomedCoOp's medical sets come in it as well.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cones.data.files import PictureFolder, files_below, leads_out, plain
from cones.data.formats.reading import read_json, shown
from cones.data.formats.records import NOT_LISTED, NativeFiles, Record
from cones.runtime.strict import Strict

FORMAT = {"name": "coop_split"}
VERSION = 1
SPLITS = ("train", "val", "test")
NO_CLASS = "a folder of pictures that the split file does not name, left out"
SHAPE = '{"train": [["path.jpg", 0, "class name"], …], "val": …, "test": …}'


class Parameters(Strict):
    root: str = "."  # folder under raw/
    split_file: str  # its name, at the root or in the only folder below it that holds such a file
    images: str = "."  # the folder that its paths are relative to, beside the file or at the root


class Listed(NamedTuple):
    """A line of the split file."""

    split: str
    path: str
    label: int
    name: str


def class_names(native: NativeFiles, parameters: Parameters) -> dict[str, str]:
    """The file's class names in the order of its labels; of labels that share a name all but the first have their
    number added. ConesError unless the labels are 0 to K-1, each with one name."""
    file = _split_file(native, parameters)
    names: dict[int, str] = {}
    for line in _lines(native, file):
        if names.setdefault(line.label, line.name) != line.name:
            raise native.fault(
                f"label {line.label} has two class names",
                file,
                found=f"{shown(names[line.label])} and {shown(line.name)}",
                next_step=native.mend(),
            )
    if sorted(names) != list(range(len(names))):
        missing = [label for label in range(max(names)) if label not in names]
        raise native.fault(
            "its labels do not count from 0 without a gap",
            file,
            expected=f"0 to {len(names) - 1}",
            found=f"no picture of label {', '.join(map(str, missing[:5]))}" if missing else f"label {min(names)}",
            next_step=native.mend(),
        )
    keys: dict[str, str] = {}
    for label in range(len(names)):
        keys[names[label] if names[label] not in keys else f"{names[label]} ({label})"] = names[label]
    return keys


def convert(native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    """One record per line, `item_id` its path below raw/. Pictures that no line names are left out and counted."""
    file = _split_file(native, parameters)
    folder = PictureFolder(_picture_folder(native, parameters, file))
    keys = list(class_names(native, parameters))
    lines = _lines(native, file)
    found = {line: folder.named(line.path) for line in lines}
    absent = [native.relative(folder.folder / line.path) for line, path in found.items() if path is None]
    if absent:
        native.leave_out_missing(absent, len(lines), file, key_hint="correct `images` in its `format`")
    _note_unlisted(native, folder, {path for path in found.values() if path})
    for line, path in found.items():
        if path is not None:
            image = native.relative(path)
            yield Record(item_id=plain(image), image=image, objects=(), split=line.split, label=keys[line.label])


def _split_file(native: NativeFiles, parameters: Parameters) -> Path:
    root = native.root(parameters.root)
    if (root / parameters.split_file).is_file():
        return root / parameters.split_file
    below = [path for path in files_below(root, (".json",)) if path.name == Path(parameters.split_file).name]
    if len(below) == 1:
        return below[0]
    raise native.fault(
        "the split file is missing" if not below else f"{len(below)} files have the name of the split file",
        root / parameters.split_file,
        found=", ".join(map(native.relative, below[:3])) or native.instead(".json") or "no JSON file",
        next_step=native.mend(f"put it there, or correct `split_file` in {native.registry}"),
    )


def _picture_folder(native: NativeFiles, parameters: Parameters, file: Path) -> Path:
    beside = file.parent / parameters.images
    if beside.is_dir():
        return beside
    return native.root(f"{parameters.root}/{parameters.images}", "images")


def _lines(native: NativeFiles, file: Path) -> list[Listed]:
    content = read_json(file, native)
    if not isinstance(content, dict) or not {"train", "test"} <= set(content):
        raise native.fault("not a split file", file, expected=SHAPE, found=shown(content), next_step=native.mend())
    if more := sorted(set(content) - set(SPLITS)):
        raise native.fault(f'a split that is not read: "{more[0]}"', file, expected=SHAPE, next_step=native.mend())
    lines = []
    for split in SPLITS:
        for number, entry in enumerate(content.get(split, ())):
            if not _is_line(entry) or leads_out(entry[0]):
                raise native.fault(
                    f"entry {number} of {split} cannot be read",
                    file,
                    expected='["path.jpg", label, "class name"]',
                    found=shown(entry),
                    next_step=native.mend("correct it"),
                )
            lines.append(Listed(split, plain(entry[0]), int(entry[1]), str(entry[2]).strip()))
    if not lines:
        raise native.fault("the split file names no picture", file, next_step=native.mend())
    return lines


def _is_line(entry: object) -> bool:
    if not isinstance(entry, list) or len(entry) != 3:
        return False
    path, label, name = entry
    is_label = type(label) is int or (isinstance(label, str) and label.isdecimal())
    return isinstance(path, str) and bool(path) and is_label and isinstance(name, str) and bool(name.strip())


def _note_unlisted(native: NativeFiles, folder: PictureFolder, listed: set[Path]) -> None:
    """Count pictures that no line names; a folder of which none is named counts as one."""
    named = {path.parent for path in listed}
    others: dict[Path, None] = {}
    for path in folder.paths:
        if path in listed:
            continue
        if path.parent in named:
            native.note(NOT_LISTED, path)
        else:
            others[path.parent] = None
    for place in others:
        native.note(NO_CLASS, place)
