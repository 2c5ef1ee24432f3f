"""TBX11K: lists of pictures per split, and VOC-like XML for the tuberculosis cases.

Corners in an XML are in pixels of the original radiograph, whose size it states, while the pictures were reduced to
512 x 512. As in the authors' script a corner becomes x * picture width / stated width - 1, and y likewise.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

from pydantic import Field

from cones.data.formats.records import NativeFiles, Object, Record
from cones.runtime.strict import Strict

FORMAT = {"name": "tbx11k"}
VERSION = 1
NATIVE = ("ActiveTuberculosis", "ObsoletePulmonaryTuberculosis", "PulmonaryTuberculosis")
CORNERS = ("xmin", "ymin", "xmax", "ymax")


class Parameters(Strict):
    root: str = "TBX11K"
    images: str = "imgs"
    annotations: str = "annotations/xml"
    lists: dict[str, str] = Field(
        {"train": "lists/TBX11K_train.txt", "val": "lists/TBX11K_val.txt"}
    )  # native split: file
    folder: str = "tb"  # of the listed pictures, only those below it have XML
    rescale: bool = True  # False: the XML are in pixels of the pictures already
    subtract: float = 1.0  # from every corner after scaling
    merge: dict[str, str] = Field(dict.fromkeys(NATIVE, "tuberculosis"))  # native class: class; the paper has one


def convert(native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    """One record per listed picture of `folder` with at least one box; `item_id` is its stem.

    An XML without objects (tb1199 is one) leaves its picture out, which the report counts.
    """
    root = native.root(parameters.root)
    for split, name in parameters.lists.items():
        for entry in read_list(root / name, parameters.folder, native):
            file = root / parameters.annotations / f"{Path(entry).stem}.xml"
            picture = root / parameters.images / entry
            if record := _read(file, picture, split, native, parameters):
                yield record


def read_list(file: Path, folder: str, native: NativeFiles) -> list[str]:
    """The entries below `folder` of a list such as `tb/tb0005.png`, one a line."""
    try:
        lines = file.read_text(encoding="utf-8").split()
    except (FileNotFoundError, UnicodeDecodeError) as error:
        raise native.fault("the list of pictures cannot be read", file, found=error, next_step=native.mend()) from None
    entries = [line for line in lines if line.startswith(f"{folder}/")]
    if unsafe := [entry for entry in entries if ".." in Path(entry).parts]:
        raise native.fault(
            "a listed picture leaves its folder",
            file,
            found=unsafe[0],
            next_step=native.mend("correct the line"),
        )
    if not entries:
        raise native.fault(
            f"no picture of {folder}/ is listed",
            file,
            expected=f"lines such as {folder}/{folder}0005.png",
            found=f"{len(lines)} lines",
            next_step=native.mend(f"correct `folder` in {native.registry}"),
        )
    return entries


def _read(file: Path, picture: Path, split: str, native: NativeFiles, parameters: Parameters) -> Record | None:
    try:
        tree = ElementTree.parse(file).getroot()
    except (FileNotFoundError, ElementTree.ParseError) as error:
        what = "the XML of a listed picture is missing" if isinstance(error, FileNotFoundError) else "broken XML"
        raise native.fault(what, file, found=error, next_step=native.mend()) from None
    elements = tree.findall("object")
    if not elements:
        native.note("XML without <object>, picture left out", file)
        return None
    scale = _scale(tree, file, picture, native) if parameters.rescale else (1.0, 1.0)
    return Record(
        item_id=picture.stem,
        image=native.relative(picture),
        objects=tuple(_object(element, scale, file, native, parameters) for element in elements),
        split=split,
    )


def _scale(tree: ElementTree.Element, file: Path, picture: Path, native: NativeFiles) -> tuple[float, float]:
    """Picture size / size of the original radiograph, along x and y."""
    from cones.data.images import upright_size
    from cones.runtime.errors import ConesError

    try:
        width, height = upright_size(picture)
    except ConesError as error:
        raise native.fault(error.what, picture, found=error.found, next_step=error.next_step) from None
    try:
        return width / int(tree.findtext("size/width")), height / int(tree.findtext("size/height"))
    except (TypeError, ValueError, ZeroDivisionError):
        raise native.fault(
            "the XML does not state the size of the original radiograph",
            file,
            expected="<size> with <width> and <height>",
            next_step="correct the file: without it the boxes cannot be scaled to the picture",
        ) from None


def _object(
    element: ElementTree.Element,
    scale: tuple[float, float],
    file: Path,
    native: NativeFiles,
    parameters: Parameters,
) -> Object:
    name = (element.findtext("name") or "").strip()
    class_name = native.known_class(parameters.merge.get(name, name), file)
    try:
        corners = [float(element.findtext(f"bndbox/{corner}")) for corner in CORNERS]
        difficult = bool(int(element.findtext("difficult") or 0))
    except (TypeError, ValueError):
        raise native.fault(
            f"an object of class {name} has no usable <bndbox>",
            file,
            expected=f"{', '.join(CORNERS)} as numbers",
            next_step="correct the file",
        ) from None
    left, top, right, bottom = (
        corner * factor - parameters.subtract for corner, factor in zip(corners, scale * 2, strict=True)
    )
    return Object(class_name=class_name, box=(left, top, right - left, bottom - top), difficult=difficult)
