"""Pascal VOC trees: Annotations/<name>.xml and JPEGImages/<name>.jpg, corner boxes; both may be the same folder.

Corners are kept as they are: x = xmin, y = ymin, w = xmax - xmin, h = ymax - ymin. ImageSets are read where `lists`
names them: they hold the authors' splits, which the paper does not use. `difficult` objects are ordinary ones, counted
in the report.
"""

import dataclasses
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Literal

from cones.data.files import PictureFolder, files_below, plain, without_suffix
from cones.data.formats.reading import flag, number_of, read_text, read_xml
from cones.data.formats.records import NativeFiles, Object, Record
from cones.data.masks import turned_box
from cones.runtime.strict import Strict

FORMAT = {"name": "voc"}
VERSION = 3
CORNERS = ("xmin", "ymin", "xmax", "ymax")


class Parameters(Strict):
    root: str = "."  # folder under raw/ that holds the three below
    folders: tuple[str, ...] = ()  # split folders under root, each with the two below; their names are native splits
    annotations: str = "Annotations"
    images: str = "JPEGImages"
    lists: dict[str, str] | None = None  # {native split: list of names}, such as train: ImageSets/Main/train.txt
    allow_empty: bool = False  # True: an XML without <object> is a picture without boxes
    coordinates: Literal["pixels", "relative"] = "pixels"  # relative: fractions of the picture's width and height


def convert(native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    """One record per XML, by name; `item_id` is its path without suffix, behind its split folder where there is one.

    A picture without XML, or an XML without its picture, is an error.
    """
    root = native.root(parameters.root)
    if parameters.lists is None:
        for folder in parameters.folders or (None,):
            yield from _read_folder(root / (folder or "."), folder, native, parameters)
        return
    splits = _listed_splits(root, parameters.lists, native)
    records = {record.item_id: record for record in _read_folder(root, None, native, parameters)}
    if absent := [f"{name} (of {parameters.lists[split]})" for name, split in splits.items() if name not in records]:
        absent = [one for one in absent if not native.skips(one.rpartition(" (of ")[0])]
        native.leave_out_missing(absent, len(splits), root, what="listed names")
    yield from (dataclasses.replace(record, split=splits.get(item)) for item, record in records.items())


def _listed_splits(root: Path, lists: dict[str, str], native: NativeFiles) -> dict[str, str]:
    """`{item id: native split}` of files with a name a line; a number behind it (lists of one class) is ignored."""
    splits: dict[str, str] = {}
    for split, name in lists.items():
        for line in filter(None, map(str.strip, read_text(root / name, native).splitlines())):
            item = plain(re.sub(r"\s+-?[01]$", "", line)).removesuffix(".xml")
            if splits.setdefault(item, split) != split:
                raise native.fault(
                    f"{item} stands in two lists",
                    root / name,
                    found=f"{splits[item]} and {split}",
                    next_step="remove it from one of them",
                )
    return splits


def _read_folder(root: Path, split: str | None, native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    annotations, images = root / parameters.annotations, root / parameters.images
    pictures, files = PictureFolder(images), files_below(annotations, (".xml",))
    if not files:
        raise native.fault(
            "no XML file here",
            annotations,
            found=native.instead(".xml"),
            next_step=native.mend(f"correct `root`, `annotations` and `images` of its `format` in {native.registry}"),
        )
    used, absent = set(), []
    for file in files:
        stem = without_suffix(file.relative_to(annotations))
        item = f"{split}/{stem}" if split else stem
        candidates = pictures.of_stem(stem)
        used.update(candidates)
        if native.skips(item):
            continue
        tree = _read(file, native)
        picture = _picture(tree, stem, candidates, file, native)
        if picture is None:
            absent.append(f"{native.relative(images)}/{_file_name(tree) or f'{stem}.*'} (of {native.relative(file)})")
            continue
        yield _record(tree, item, picture, split, file, native, parameters)
    if absent:
        native.leave_out_missing(absent, len(files), annotations)
    unused = [path for path in pictures.paths if path not in used and not native.skips(_item_of(path, pictures, split))]
    if unused:
        expected = without_suffix(unused[0].relative_to(images))
        raise native.fault(
            f"{len(unused)} pictures have no XML",
            unused[0],
            expected=f"{native.relative(annotations)}/{expected}.xml",
            next_step=native.mend("remove the picture, or leave it out: `exclude: [<its name without suffix>]`"),
        )
    for other in pictures.others:
        if other.suffix.lower() != ".xml":
            native.note("a file that is no picture, left out", other)


def _read(file: Path, native: NativeFiles) -> ElementTree.Element:
    tree = read_xml(file, native)
    if tree.tag.lower() != "annotation":
        raise native.fault(
            "not a VOC file",
            file,
            expected="<annotation>",
            found=f"<{tree.tag}>",
            next_step=native.mend("take it out of the folder, or set the `format` that it is (<annotations>: cvat)"),
        )
    return tree


def _item_of(picture: Path, pictures: PictureFolder, split: str | None) -> str:
    stem = without_suffix(PurePosixPath(pictures.relative(picture)))
    return f"{split}/{stem}" if split else stem


def _file_name(tree: ElementTree.Element) -> str:
    """What <filename> says, without the folders that the annotating machine had."""
    return PurePosixPath(plain((tree.findtext("filename") or "").strip())).name


def _picture(
    tree: ElementTree.Element, stem: str, candidates: list[Path], file: Path, native: NativeFiles
) -> Path | None:
    """The picture with the XML's own name; <filename> must not name another one, and decides between two suffixes."""
    said, own = _file_name(tree), PurePosixPath(stem).name
    if said and said.casefold() != own.casefold() and PurePosixPath(said).stem.casefold() != own.casefold():
        raise native.fault(
            "the XML names another picture",
            file,
            expected=f"<filename>{own}.*</filename>",
            found=f'"{said}"',
            next_step="correct <filename> or the file's name: a wrong pair puts boxes on the wrong picture",
        )
    if len(candidates) < 2:
        return next(iter(candidates), None)
    exact = [path for path in candidates if plain(path.name) == said]
    if len(exact) != 1:
        raise native.fault(
            "two pictures have the XML's name",
            file,
            expected="<filename> with the suffix of one of them",
            found=", ".join(path.name for path in candidates),
            next_step="remove one of them, or correct <filename>",
        )
    return exact[0]


def _record(
    tree: ElementTree.Element,
    item: str,
    picture: Path,
    split: str | None,
    file: Path,
    native: NativeFiles,
    parameters: Parameters,
) -> Record:
    elements, size = tree.findall("object"), None
    if not elements and not parameters.allow_empty:
        raise native.fault(
            "XML without <object>",
            file,
            expected="at least one <object>",
            next_step="add the missing boxes; if the picture really shows nothing, set `allow_empty: true` in the "
            f"dataset's `format` in {native.registry}",
        )
    if parameters.coordinates == "relative":
        size = native.size_of(picture)
    return Record(
        item_id=item,
        image=native.relative(picture),
        objects=tuple(_object(element, size or (1, 1), file, native) for element in elements),
        split=split,
        stated_size=_stated_size(tree),
        frame="upright" if size else None,
    )


def _object(element: ElementTree.Element, scale: tuple[int, int], file: Path, native: NativeFiles) -> Object:
    name = native.known_class((element.findtext("name") or "").strip(), file)
    boxes = element.findall("bndbox")
    corners = [number_of(boxes[0].findtext(corner)) for corner in CORNERS] if len(boxes) == 1 else [None]
    if None in corners:
        texts = ", ".join(str(boxes[0].findtext(corner)) for corner in CORNERS) if boxes else ""
        raise native.fault(
            f"an object of class {name} has {'no usable' if len(boxes) < 2 else 'more than one'} <bndbox>",
            file,
            expected="one, with xmin, ymin, xmax, ymax as numbers",
            found=texts or " ".join(f"<{child.tag}>" for child in element),
            next_step="correct the file",
        )
    what = f"<difficult> of an object of class {name}"
    left, top, right, bottom = (value * factor for value, factor in zip(corners, scale * 2, strict=True))
    return Object(
        class_name=name,
        box=turned_box((left, top, right - left, bottom - top), _rotation(element)),
        difficult=flag((element.findtext("difficult") or "").strip(), what=what, file=file, native=native),
    )


def _rotation(element: ElementTree.Element) -> float:
    """The degrees by which a box is turned, as CVAT writes them among an object's attributes."""
    named = {one.findtext("name"): one.findtext("value") for one in element.iterfind("attributes/attribute")}
    return number_of(named.get("rotation")) or 0.0


def _stated_size(tree: ElementTree.Element) -> tuple[int, int] | None:
    """(width, height) where the XML states one; tools that do not know it write zeros."""
    width, height = (number_of(tree.findtext(f"size/{side}")) for side in ("width", "height"))
    return (int(width), int(height)) if width and height and min(width, height) > 0 else None
