"""The canonical form of an annotated object: its box normalised, turned with its picture and clipped, its mask RLE."""

import math
from typing import TYPE_CHECKING, Any

from cones.data.formats.records import NativeFiles, Object, Record
from cones.data.masks import as_rle
from cones.data.turning import Turned, turn_box, turn_segmentation

if TYPE_CHECKING:
    from cones.data.coco import Report

DECIMALS = 3  # of a pixel


def shape_of(
    annotated: Object, record: Record, image: dict, turn: Turned | None, native: NativeFiles, report: "Report"
) -> dict | None:
    """Box, area, flags and mask of one object; None if nothing of it lies in the picture. Changes go into the report.

    `image` has the upright picture's width and height; `turn` is how the picture turned, if the object has to turn too.
    """
    report.listed += 1
    report.difficult += annotated.difficult
    if len(annotated.box) != 4 or not all(map(math.isfinite, annotated.box)):
        raise native.fault(
            f"a box of class {annotated.class_name} is not finite",
            record.image,
            found=annotated.box,
            next_step="correct the annotation file",
        )
    size = image["width"], image["height"]
    fault = {"file": record.image, "class": annotated.class_name, "box": [number(value) for value in annotated.box]}
    box = ordered(annotated.box)
    backwards = box != tuple(annotated.box)
    x, y, width, height = turn_box(box, turn.orientation, turn.stored) if turn else box
    left, right = _clip(x, size[0]), _clip(x + width, size[0])
    top, bottom = _clip(y, size[1]), _clip(y + height, size[1])
    kept = [number(value) for value in (left, top, right - left, bottom - top)]
    if kept[2] <= 0 or kept[3] <= 0:
        reason = "no area" if width <= 0 or height <= 0 else "outside the picture"
        report.dropped.append({**fault, "reason": reason})
        return None
    if backwards:
        report.reordered.append({**fault, "kept": kept})
    clipped = any(abs(a - b) > 10**-DECIMALS for a, b in zip((left, top, right, bottom), (x, y, x + width, y + height)))
    if clipped:
        report.clipped.append({**fault, "kept": kept})
    area = annotated.area or kept[2] * kept[3]
    if clipped and annotated.area and annotated.segmentation is None:
        area = min(annotated.area, kept[2] * kept[3])
    shape = {"bbox": kept, "area": number(area), "iscrowd": int(annotated.crowd)}
    if annotated.segmentation is None:
        return shape
    return {**shape, "segmentation": _mask(annotated.segmentation, record, size, turn, native)}


def ordered(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    """(x, y, width, height) from its left and top corner, also where it was drawn from the right or from below."""
    x, y, width, height = box
    return min(x, x + width), min(y, y + height), abs(width), abs(height)


def number(value: float) -> int | float:
    """A number rounded to a thousandth of a pixel; whole numbers become int, so that JSON is equal everywhere."""
    rounded = round(float(value), DECIMALS)
    return int(rounded) if rounded.is_integer() else rounded


def _clip(value: float, limit: int) -> float:
    return min(max(value, 0.0), float(limit))


def _mask(segmentation: Any, record: Record, size: tuple[int, int], turn: Turned | None, native: NativeFiles) -> dict:
    """The mask as compressed RLE of the upright picture's size."""
    drawn_on = turn.stored if turn else size
    if isinstance(segmentation, dict) and tuple(segmentation["size"]) != drawn_on[::-1]:
        raise native.fault(
            "a mask is not of the picture's size",
            record.image,
            expected=f"{drawn_on[0]} x {drawn_on[1]}",
            found="{1} x {0}".format(*segmentation["size"]),
            next_step=native.mend("take the picture that was annotated: this one is of another version"),
        )
    if turn:
        segmentation = turn_segmentation(segmentation, turn.orientation, turn.stored)
    if isinstance(segmentation, dict) and isinstance(segmentation["counts"], str):
        return segmentation
    return as_rle(segmentation, size[::-1])
