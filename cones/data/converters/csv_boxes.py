"""A folder of pictures and one CSV with a row per box (DFUC2020): picture, left, top, right, bottom in pixels.

A picture with several boxes has several rows, one without a box has none.
"""

import csv
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from cones.data.converters import masks
from cones.data.converters.records import NativeFiles, Object, Record
from cones.strict import Strict

FORMAT = {"name": "csv_boxes"}
VERSION = 1


class Parameters(Strict):
    root: str = "."
    images: str = "images"
    annotations: str = "groundtruth.csv"
    name: str = "name"  # the column of the picture's file name, with or without its suffix
    corners: tuple[str, str, str, str] = ("xmin", "ymin", "xmax", "ymax")


def convert(native: NativeFiles, parameters: Parameters) -> Iterator[Record]:
    """One record per picture, by name; `item_id` is its stem. A row of a picture that is not there is an error."""
    root = native.root(parameters.root)
    class_name = masks.only_class(native, parameters.root)("", None)
    pictures = {path.stem: path for path in masks.files_in(root / parameters.images)}
    if not pictures:
        raise native.fault(
            "no picture here",
            root / parameters.images,
            next_step="check the mirror folder, or correct `images` in datasets.yaml",
        )
    file = root / parameters.annotations
    boxes = read_boxes(file, native, parameters)
    if stray := sorted(set(boxes) - set(pictures)):
        raise native.fault(
            f"{len(stray)} pictures with boxes are missing",
            file,
            expected=f"{parameters.images}/{stray[0]}.*",
            next_step="complete the folder of pictures, or correct the file",
        )
    for stem, picture in pictures.items():
        if not boxes[stem]:
            native.note("a picture without a row in the CSV, kept as a picture without boxes", picture)
        objects = tuple(Object(class_name=class_name, box=box) for box in boxes[stem])
        yield Record(item_id=stem, image=native.relative(picture), objects=objects)


def read_boxes(
    file: Path, native: NativeFiles, parameters: Parameters
) -> defaultdict[str, list[tuple[float, float, float, float]]]:
    """`{stem: [(x, y, width, height)]}`; corners are kept as they are, so width = xmax - xmin."""
    try:
        rows = list(csv.DictReader(file.read_text(encoding="utf-8-sig").splitlines()))
    except (FileNotFoundError, UnicodeDecodeError, csv.Error) as error:
        raise native.fault(
            "the CSV of boxes cannot be read",
            file,
            found=error,
            next_step="place it there, or correct `annotations` in datasets.yaml",
        ) from None
    columns = (parameters.name, *parameters.corners)
    if rows and (missing := [column for column in columns if column not in rows[0]]):
        raise native.fault(
            f'no column "{missing[0]}"',
            file,
            expected=", ".join(columns),
            found=", ".join(filter(None, rows[0])),
            next_step="correct `name` and `corners` of this dataset's `format` in datasets.yaml",
        )
    boxes = defaultdict(list)
    for number, row in enumerate(rows, start=2):
        try:
            left, top, right, bottom = (float(row[column]) for column in parameters.corners)
            stem = Path(row[parameters.name].strip()).stem
        except (TypeError, ValueError, AttributeError):
            raise native.fault(
                f"line {number} holds no box",
                file,
                expected=",".join(columns),
                found=",".join(str(row.get(column)) for column in columns),
                next_step="correct the line",
            ) from None
        boxes[stem].append((left, top, right - left, bottom - top))
    return boxes
