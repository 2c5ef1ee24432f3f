"""Pascal VOC trees: Annotations/<stem>.xml and JPEGImages/<stem>.jpg, corner boxes.

Corners are kept as they are: x = xmin, y = ymin, w = xmax - xmin, h = ymax - ymin. ImageSets are not read: they hold
the authors' splits, which the paper does not use. `difficult` objects are ordinary ones, counted in the report.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

from cones.data.converters.records import NativeFiles, Object, Record
from cones.strict import Strict

FORMAT = {"name": "voc"}
VERSION = 1


class Parameters(Strict):
    root: str = "."  # folder under raw/ that holds the three below
    annotations: str = "Annotations"
    images: str = "JPEGImages"
    allow_empty: bool = False  # True: an XML without <object> is a picture without boxes


def convert(native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    """One record per XML, by name. A picture without XML, or an XML without its picture, is an error."""
    root = native.root(parameters.root)
    annotations, images = root / parameters.annotations, root / parameters.images
    pictures = {path.name: path for path in sorted(images.glob("*")) if not path.name.startswith(".")}
    files = sorted(annotations.glob("*.xml"))
    if not files:
        raise native.fault("no XML file here", annotations, next_step="fetch the dataset again, or check the mirror")
    used = set()
    for file in files:
        record = _read(file, pictures, native, parameters)
        used.add(Path(record.image).name)
        yield record
    if unused := sorted(set(pictures) - used):
        raise native.fault(
            f"{len(unused)} pictures have no XML",
            images / unused[0],
            expected=f"{parameters.annotations}/{Path(unused[0]).stem}.xml",
            next_step="fetch the dataset again, or remove the picture",
        )


def _read(file: Path, pictures: dict[str, Path], native: NativeFiles, parameters: Parameters) -> Record:
    try:
        tree = ElementTree.parse(file).getroot()
    except ElementTree.ParseError as error:
        raise native.fault("broken XML", file, found=error, next_step="fetch the dataset again") from None
    name = (tree.findtext("filename") or "").strip()
    if Path(name).stem != file.stem:
        raise native.fault(
            "the XML names another picture",
            file,
            expected=f"<filename>{file.stem}.*</filename>",
            found=f'"{name}"',
            next_step="correct <filename> or the file's name: a wrong pair puts boxes on the wrong picture",
        )
    if name not in pictures:
        raise native.fault(
            "the picture is missing", file, expected=f"{parameters.images}/{name}", next_step="fetch the dataset again"
        )
    objects = tuple(_object(element, file, native) for element in tree.findall("object"))
    if not objects and not parameters.allow_empty:
        raise native.fault(
            "XML without <object>",
            file,
            expected="at least one <object>",
            next_step="add the missing boxes; if the picture really shows nothing, set `allow_empty: true` in the "
            "dataset's `format` in datasets.yaml",
        )
    return Record(
        item_id=file.stem,
        image=native.relative(pictures[name]),
        objects=objects,
        stated_size=_stated_size(tree),
    )


def _object(element: ElementTree.Element, file: Path, native: NativeFiles) -> Object:
    name = native.known_class((element.findtext("name") or "").strip(), file)
    try:
        left, top, right, bottom = (
            float(element.findtext(f"bndbox/{corner}")) for corner in ("xmin", "ymin", "xmax", "ymax")
        )
        difficult = bool(int(element.findtext("difficult") or 0))
    except (TypeError, ValueError):
        raise native.fault(
            f"an object of class {name} has no usable <bndbox>",
            file,
            expected="xmin, ymin, xmax, ymax as numbers",
            next_step="correct the file",
        ) from None
    return Object(class_name=name, box=(left, top, right - left, bottom - top), difficult=difficult)


def _stated_size(tree: ElementTree.Element) -> tuple[int, int] | None:
    """(width, height) where the XML states one; tools that do not know it write zeros."""
    try:
        size = int(tree.findtext("size/width")), int(tree.findtext("size/height"))
    except (TypeError, ValueError):
        return None
    return size if min(size) > 0 else None
