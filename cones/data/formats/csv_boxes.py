"""A folder of pictures and one CSV with a row per box (DFUC2020): picture, left, top, right, bottom in pixels.

A picture with several boxes has several rows; one without a box has none, or a row in which only its name stands.
"""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Literal

from cones.data.files import PictureFolder, item_names, leads_out, plain, without_suffix
from cones.data.formats import masks
from cones.data.formats.reading import read_table, require_columns
from cones.data.formats.records import NativeFiles, Object, Record
from cones.runtime.strict import Strict

FORMAT = {"name": "csv_boxes"}
VERSION = 2


class Parameters(Strict):
    root: str = "."
    images: str = "images"
    annotations: str = "groundtruth.csv"
    picture: str = "name"  # the column of the picture's file name, with or without its suffix
    corners: tuple[str, str, str, str] = ("xmin", "ymin", "xmax", "ymax")
    label: str | None = None  # the column of the class; None: all boxes are of the only class
    coordinates: Literal["pixels", "relative"] = "pixels"  # relative: fractions of the picture's width and height


def convert(native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    """One record per picture, by name; `item_id` is its path without suffix. A row without its picture is an error."""
    root = native.root(parameters.root)
    if parameters.label is None:
        masks.only_class(native, parameters.root)
    pictures = PictureFolder(root / parameters.images)
    if not pictures.paths:
        raise native.fault(
            "no picture here",
            root / parameters.images,
            next_step=f"check the folder, or correct `images` in {native.registry}",
        )
    boxes = read_boxes(root / parameters.annotations, pictures, native, parameters)
    names = item_names(map(pictures.relative, pictures.paths))
    for picture in pictures.paths:
        item = names[pictures.relative(picture)]
        if native.skips(item):
            continue
        rows, size = boxes.get(picture, []), (1, 1)
        if picture not in boxes:
            native.note("a picture without a row in the CSV, kept as a picture without boxes", picture)
        if parameters.coordinates == "relative":
            size = native.size_of(picture)
        objects = tuple(
            Object(class_name, tuple(value * side for value, side in zip(box, size * 2, strict=True)))
            for class_name, box in rows
        )
        frame = "upright" if parameters.coordinates == "relative" else None
        yield Record(item_id=item, image=native.relative(picture), objects=objects, frame=frame)


def read_boxes(
    file: Path, pictures: PictureFolder, native: NativeFiles, parameters: Parameters
) -> dict[Path, list[tuple[str, tuple[float, float, float, float]]]]:
    """`{picture: [(class, (x, y, width, height))]}`; corners are kept as they are, so width = xmax - xmin."""
    table = read_table(file, native, "annotations")
    columns = (parameters.picture, *parameters.corners, *filter(None, (parameters.label,)))
    require_columns(table, columns, file, native, "`picture`, `corners` and `label` of this dataset's `format`")
    boxes, absent = defaultdict(list), {}
    for number, row in table.rows:
        corners, name = [table.number(row[column]) for column in parameters.corners], row[parameters.picture]
        without_box = name and not any(row[column] for column in columns[1:])
        if not without_box and (None in corners or not all(row[column] for column in columns)):
            raise native.fault(
                f"line {number} holds no box" + ("" if None in corners else " of a picture and a class"),
                file,
                expected=",".join(columns),
                found=table.separator.join(row[column] for column in columns),
                next_step="correct the line",
            )
        if (picture := _picture(name, number, pictures, file, native)) is None:
            absent[name] = f"{parameters.images}/{name}" + ("" if PurePosixPath(name).suffix else ".*")
            continue
        if without_box:
            boxes[picture] += []
            continue
        class_name = native.known_class(row[parameters.label], file) if parameters.label else native.classes[0]
        left, top, right, bottom = corners
        boxes[picture].append((class_name, (left, top, right - left, bottom - top)))
    absent = {name: path for name, path in absent.items() if not native.skips(without_suffix(PurePosixPath(name)))}
    if absent:
        native.leave_out_missing(sorted(absent.values()), len(boxes) + len(absent), file)
    return boxes


def _picture(name: str, number: int, pictures: PictureFolder, file: Path, native: NativeFiles) -> Path | None:
    """The picture of a row: the one of exactly this name, else the only one whose name without suffix it is."""
    if path := pictures.by_end(name) if leads_out(name) else pictures.named(name):
        return path
    found = pictures.of_stem(name) or pictures.of_stem(without_suffix(PurePosixPath(plain(name))))
    if len(found) > 1:
        raise native.fault(
            f"line {number} may mean two pictures",
            file,
            expected="a name with its suffix",
            found=f'"{name}" for {" and ".join(path.name for path in found)}',
            next_step="write the names with their suffixes, or remove one of the pictures",
        )
    return next(iter(found), None)
