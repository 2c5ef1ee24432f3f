"""Masks of objects: COCO's forms and back, and the boxes around them. Imports nothing heavy: converters stand on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


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
