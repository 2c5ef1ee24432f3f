"""ImageNet and its shifted copies: a folder for each WordNet id, and a file that names them (`n01440764 tench`).

The file is CoOp's `classnames.txt` (KaiyangZhou/CoOp DATASETS.md), whose order is that of the labels. A copy with some
of the classes (ImageNet-A, -R) has the labels of its own folders; classes are kept by their WordNet id, so that the
same class has the same name in all of them. ImageNetV2 numbers its folders by the lines of the file
(datasets/imagenetv2.py there).
"""

from collections.abc import Iterator
from pathlib import Path

from cones.data.files import PICTURES, files_below, is_hidden, plain
from cones.data.formats.reading import read_text
from cones.data.formats.records import NativeFiles, Record
from cones.runtime.strict import Strict

FORMAT = {"name": "imagenet_folders"}
VERSION = 1


class Parameters(Strict):
    root: str = "."  # folder under raw/
    folders: dict[str, str]  # {native split: its folder of class folders}
    names: str = "classnames.txt"  # the file of names, below root
    numbered: bool = False  # class folders are called 0, 1, … after the lines of that file
    subset: bool = False  # folders may be there for some of the named classes only


def class_names(native: NativeFiles, parameters: Parameters) -> dict[str, str]:
    """{WordNet id: name} of the classes that have a folder in every split, in the file's order; ConesError for a folder
    that the file does not name, or a class without folder unless the entry says `subset`."""
    names = _names(native, parameters)
    places = {split: _class_folders(native, parameters, split, names) for split in parameters.folders}
    wanted = [name for name in names if any(name in found for found in places.values())]
    for split, found in places.items():
        expected = wanted if parameters.subset else list(names)
        if absent := [name for name in expected if name not in found]:
            raise native.fault(
                f"{len(absent)} of {len(expected)} classes have no folder",
                native.root(parameters.root) / parameters.folders[split],
                expected=f"{absent[0]} ({names[absent[0]]}) …",
                next_step=native.mend(f"complete the folder, or set `subset: true` in {native.registry}"),
            )
    return {name: names[name] for name in wanted}


def convert(native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    """One record per picture, `item_id` its path below raw/; `label` is the WordNet id."""
    names = _names(native, parameters)
    for split in parameters.folders:
        for name, folder in _class_folders(native, parameters, split, names).items():
            pictures = files_below(folder, PICTURES)
            if not pictures:
                raise native.fault(
                    f"no picture of class {name} ({names[name]})", folder, next_step=native.mend("put pictures there")
                )
            for path in pictures:
                image = native.relative(path)
                yield Record(item_id=plain(image), image=image, objects=(), split=split, label=name)


def _names(native: NativeFiles, parameters: Parameters) -> dict[str, str]:
    """{WordNet id: name} in the order of the file's lines."""
    file = native.root(parameters.root) / parameters.names
    if not file.is_file():
        raise native.fault(
            "the file of class names is missing",
            file,
            found=native.instead(".txt") or "no text file",
            next_step=native.mend(f"put it there, or correct `names` in {native.registry}"),
        )
    names: dict[str, str] = {}
    for number, line in enumerate(read_text(file, native).splitlines(), start=1):
        key, _, name = line.strip().partition(" ")
        if not key:
            continue
        if not name.strip() or key in names:
            raise native.fault(
                f"line {number} {'names a class again' if key in names else 'has no name'}",
                file,
                expected="n01440764 tench",
                found=line.strip(),
                next_step=native.mend("correct the line"),
            )
        names[key] = name.strip()
    return names


def _class_folders(native: NativeFiles, parameters: Parameters, split: str, names: dict[str, str]) -> dict[str, Path]:
    """{WordNet id: folder} of a split, in the order of the names."""
    place = native.root(f"{parameters.root}/{parameters.folders[split]}", "folders")
    inside = [entry for entry in sorted(place.iterdir()) if not is_hidden(entry.name)]
    keys = dict(enumerate(names))
    found = {}
    for entry in (entry for entry in inside if entry.is_dir()):
        key = keys.get(int(entry.name)) if parameters.numbered and entry.name.isdecimal() else entry.name
        if key not in names:
            raise native.fault(
                "a class folder that the file of names does not know",
                entry,
                expected=f"a number below {len(names)}" if parameters.numbered else f"a name such as {keys[0]}",
                next_step=native.mend(f"remove it, or correct `names` or `numbered` in {native.registry}"),
            )
        found[key] = entry
    if not found:
        loose = sum(entry.suffix.lower() in PICTURES for entry in inside)
        raise native.fault(
            "no class folder is there",
            place,
            found=f"{loose} pictures without a folder of their class" if loose else "nothing",
            next_step="sort them into a folder for each class, named by its WordNet id",
        )
    return {name: found[name] for name in names if name in found}
