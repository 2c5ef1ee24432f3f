"""Masks of objects in COCO's forms (polygons, RLE), and the boxes around them. Imports nothing heavy."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import numpy as np

IouType = Literal["bbox", "segm"]  # IoU of boxes or of masks


def decoded(segmentation: dict | list, size: tuple[int, int]) -> np.ndarray:
    """COCO polygons or RLE (counts as text or as numbers) -> (height, width) bool; `size` = (height, width)."""
    from pycocotools import mask as coco_mask

    if isinstance(segmentation, list):
        segmentation = coco_mask.merge(coco_mask.frPyObjects(segmentation, *size))
    elif isinstance(segmentation["counts"], list):
        segmentation = coco_mask.frPyObjects(segmentation, *segmentation["size"])
    return coco_mask.decode(segmentation).astype(bool)


def encoded(mask: np.ndarray) -> dict:
    """(height, width) bool -> COCO's compressed RLE, its counts as text."""
    import numpy as np
    from pycocotools import mask as coco_mask

    code = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(side) for side in code["size"]], "counts": code["counts"].decode("ascii")}


def boxes_of(masks: np.ndarray) -> np.ndarray:
    """(G, h, w) bool, none of them empty -> (G, 4) float32 x1, y1, x2, y2, their edges: width = x2 - x1."""
    import numpy as np

    corners = []
    for occupied in (masks.any(axis=1), masks.any(axis=2)):  # (G, w), (G, h)
        corners.append((occupied.argmax(axis=1), occupied.shape[1] - occupied[:, ::-1].argmax(axis=1)))
    (left, right), (top, bottom) = corners
    return np.stack([left, top, right, bottom], axis=1).astype(np.float32)  # (G, 4)


def checked_segmentation(segmentation: object) -> list[list[float]] | dict:
    """COCO polygons as lists of numbers, or RLE with its counts as numbers or text; ValueError says what is wrong.

    pycocotools takes a polygon of two points for a box and runs over the end of broken counts: both are refused here.
    """
    if isinstance(segmentation, list) and segmentation:
        rings = [segmentation] if isinstance(segmentation[0], int | float) else segmentation
        return [_checked_ring(ring) for ring in rings]
    if isinstance(segmentation, dict) and {"size", "counts"} <= set(segmentation):
        height, width = (int(side) for side in segmentation["size"])
        lengths = run_lengths(segmentation["counts"])
        if min(lengths, default=0) < 0 or sum(lengths) != height * width:
            raise ValueError(f"runs of {sum(lengths)} pixels for {width} x {height}")
        if not sum(lengths[1::2]):
            raise ValueError("RLE without a pixel")
        return {"size": [height, width], "counts": segmentation["counts"]}
    raise ValueError("neither polygons nor RLE")


def _checked_ring(ring: object) -> list[float]:
    if not isinstance(ring, list) or len(ring) < 6 or len(ring) % 2:
        raise ValueError(f"a polygon of {len(ring) if isinstance(ring, list) else 'no'} numbers")
    values = [float(value) for value in ring if isinstance(value, int | float | str)]
    if len(values) != len(ring) or not all(map(math.isfinite, values)):
        raise ValueError("a polygon with something that is no number")
    return values


def run_lengths(counts: object) -> list[int]:
    """The lengths of RLE's runs, from numbers or from COCO's compressed text; ValueError if it is neither.

    The text holds each length in groups of five bits, from the third on as the difference to the one before last.
    """
    if isinstance(counts, list):
        return [int(count) for count in counts]
    if not isinstance(counts, str | bytes):
        raise ValueError("counts are neither text nor numbers")
    lengths: list[int] = []
    value = shift = 0
    for code in counts.encode("ascii") if isinstance(counts, str) else counts:
        if not 48 <= code < 112:
            raise ValueError("counts hold a letter that RLE does not have")
        value |= ((code - 48) & 0x1F) << shift
        shift += 5
        if (code - 48) & 0x20:
            continue
        value -= (1 << shift) if (code - 48) & 0x10 else 0
        lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("counts are cut short")
    return lengths


def scaled(segmentation: list[list[float]] | dict, size: tuple[int, int]) -> list[list[float]] | dict:
    """Polygons given as fractions, in pixels of a picture of `size` = (width, height); RLE is in pixels already."""
    if isinstance(segmentation, dict):
        return segmentation
    return [[value * size[index % 2] for index, value in enumerate(ring)] for ring in segmentation]


def bounds_of(segmentation: list[list[float]] | dict) -> tuple[float, float, float, float]:
    """(x, y, width, height) around checked polygons or RLE."""
    if isinstance(segmentation, dict):
        from pycocotools import mask as coco_mask

        return tuple(float(value) for value in coco_mask.toBbox(_compressed(segmentation)))
    xs = [value for ring in segmentation for value in ring[::2]]
    ys = [value for ring in segmentation for value in ring[1::2]]
    return min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)


def turned(points: list[tuple[float, float]], centre: tuple[float, float], degrees: float) -> list[float]:
    """Points around (0, 0), turned clockwise as one sees it, as a polygon [x, y, …] around `centre`."""
    angle = math.radians(degrees)
    cos, sin = math.cos(angle), math.sin(angle)
    return [value for a, b in points for value in (centre[0] + a * cos - b * sin, centre[1] + a * sin + b * cos)]


def turned_box(box: tuple[float, float, float, float], degrees: float) -> tuple[float, float, float, float]:
    """(x, y, width, height) around a box that is turned about its centre."""
    if not degrees:
        return box
    x, y, width, height = box
    corners = [(a * width / 2, b * height / 2) for a, b in ((-1, -1), (1, -1), (1, 1), (-1, 1))]
    return bounds_of([turned(corners, (x + width / 2, y + height / 2), degrees)])


def area_of(segmentation: list[list[float]] | dict) -> float:
    """Pixels of checked RLE, or the area that polygons enclose (their sum: COCO's polygons are parts of one object)."""
    if isinstance(segmentation, dict):
        return float(sum(run_lengths(segmentation["counts"])[1::2]))
    total = 0.0
    for ring in segmentation:
        points = list(zip(ring[::2], ring[1::2]))
        total += abs(sum(x * v - u * y for (x, y), (u, v) in zip(points, [*points[1:], points[0]]))) / 2
    return total


def as_rle(segmentation: list[list[float]] | dict, size: tuple[int, int]) -> dict:
    """Checked polygons or RLE as compressed RLE of a picture of `size` = (height, width), never without a pixel.

    An outline thinner than a pixel has no pixel's centre inside: the pixels it runs through stand for it.
    """
    if isinstance(segmentation, dict):
        return encoded(decoded(segmentation, size))
    mask = decoded(segmentation, size)
    return encoded(mask if mask.any() else _drawn(segmentation, size))


def merged(masks: list[dict]) -> dict:
    """The union of several masks of one size as compressed RLE."""
    from pycocotools import mask as coco_mask

    code = coco_mask.merge([_compressed(mask) for mask in masks])
    return {"size": [int(side) for side in code["size"]], "counts": code["counts"].decode("ascii")}


def _drawn(polygons: list[list[float]], size: tuple[int, int]) -> np.ndarray:
    import numpy as np
    from PIL import Image, ImageDraw

    canvas = Image.new("1", size[::-1])
    for ring in polygons:
        ImageDraw.Draw(canvas).polygon([math.floor(value) for value in ring], fill=1, outline=1)
    return np.asarray(canvas, bool)


def _compressed(rle: dict) -> dict:
    from pycocotools import mask as coco_mask

    return coco_mask.frPyObjects(rle, *rle["size"]) if isinstance(rle["counts"], list) else rle
