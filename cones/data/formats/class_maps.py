"""Class maps: a folder of pictures and one of maps of the same names, in which a pixel holds the number of its class.

So are ADE20K's scene parsing benchmark (images/training, annotations/training; 0 is unlabelled, classes count from 1)
and VOC's trees (JPEGImages, SegmentationClass, lists of names in ImageSets).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from cones.data.class_maps import MOST_CLASSES, Numbers
from cones.data.files import PICTURES, files_below, without_suffix
from cones.data.formats.masks import Folder, paired
from cones.data.formats.reading import read_text
from cones.data.formats.records import NOT_LISTED, NativeFiles, Record
from cones.runtime.strict import Strict

FORMAT = {"name": "class_maps"}
VERSION = 1


class Parameters(Strict):
    root: str = "."  # folder under raw/
    folders: tuple[Folder, ...] = (Folder(images="images", masks="masks"),)
    lists: dict[str, str] = Field(default_factory=dict)  # {native split: a file of names without suffix, one a line}
    mask_suffix: str = ""  # what a map's name has beyond its picture's, before the file's suffix
    first: int = Field(0, ge=0, le=255)  # the number of the first class
    unlabelled: tuple[Annotated[int, Field(ge=0, le=255)], ...] = (255,)  # numbers of pixels that have no class


def numbers(native: NativeFiles, parameters: Parameters) -> Numbers:
    """How the files number the entry's classes; ConesError if they do not fit into 8 bits."""
    found = Numbers(len(native.classes), parameters.first, parameters.unlabelled)
    places = range(found.first, found.first + found.classes)
    if found.classes > MOST_CLASSES or places.stop > 256 or set(places) & set(found.unlabelled):
        raise native.fault(
            "the numbers of classes and of unlabelled pixels do not fit",
            parameters.root,
            expected=f"at most {MOST_CLASSES} classes, below 256, none of them unlabelled",
            found=f"{places.start} to {places.stop - 1}, unlabelled {', '.join(map(str, found.unlabelled))}",
            next_step=f"correct `first` and `unlabelled`, or the classes, in {native.registry}",
        )
    return found


def convert(native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    """One record per picture; `item_id` is `<prefix><folder of pictures>/<path without suffix>`.

    A picture without map, a map without picture, or a name of a list without either or with several is an error; what
    no list names is left out and counted.
    """
    root = native.root(parameters.root)
    for folder in parameters.folders:
        pictures, maps = root / folder.images, root / folder.masks
        if parameters.lists:
            yield from _listed(native, parameters, folder, pictures, maps)
            continue
        prefix = f"{folder.prefix}{folder.images}/"
        for stem, picture, found in paired(native, pictures, maps, parameters.mask_suffix, prefix=prefix):
            yield _record(native, folder, stem, picture, found, folder.split)


def _listed(
    native: NativeFiles, parameters: Parameters, folder: Folder, pictures: Path, maps: Path
) -> Iterator[Record]:
    known = {base: _by_stem(base) for base in (pictures, maps)}
    used = set()
    for split, file in parameters.lists.items():
        path = native.root(parameters.root) / file
        names = read_text(path, native).split()
        both = {name: _both(native, known, name, pictures, maps, parameters) for name in names}
        absent = [f"{name} (of {split})" for name in names if not both[name]]
        if absent:
            native.leave_out_missing(absent, len(names), path, what="listed pictures or their maps")
        for name in names:
            used.add(name)
            if both[name]:
                yield _record(native, folder, name, *both[name], split)
    for stem in sorted(known[maps]):
        if stem.removesuffix(parameters.mask_suffix) not in used:
            for path in known[maps][stem]:
                native.note(NOT_LISTED, path)


def _both(
    native: NativeFiles, known: dict, name: str, pictures: Path, maps: Path, parameters: Parameters
) -> tuple[Path, Path] | None:
    """The picture and the map of a listed name, None without either; a name of two pictures or maps is an error."""
    found = known[pictures].get(name, ()), known[maps].get(name + parameters.mask_suffix, ())
    for folder, files in zip((pictures, maps), found):
        if len(files) > 1:
            raise native.fault(
                f'the listed name "{name}" has several files, and nothing says which of them counts',
                folder,
                expected="one picture and one map of a name",
                found=", ".join(native.relative(file) for file in files),
                next_step=native.mend("move all but one of them elsewhere"),
            )
    return (found[0][0], found[1][0]) if all(found) else None


def _by_stem(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in files_below(folder, PICTURES):
        found.setdefault(without_suffix(path.relative_to(folder)), []).append(path)
    return found


def _record(native: NativeFiles, folder: Folder, stem: str, picture: Path, found: Path, split: str | None) -> Record:
    return Record(
        item_id=f"{folder.prefix}{folder.images}/{stem}",
        image=native.relative(picture),
        objects=(),
        split=split,
        class_map=native.relative(found),
    )
