"""Boxes in two forms, and how much they overlap."""

import torch
from torch import Tensor

from cones.models.detector import Target


def to_corners(boxes: Tensor) -> Tensor:
    """(…, 4) centre x, centre y, width, height -> (…, 4) x1, y1, x2, y2."""
    centre, size = boxes[..., :2], boxes[..., 2:]
    return torch.cat([centre - 0.5 * size, centre + 0.5 * size], dim=-1)


def to_centres(boxes: Tensor) -> Tensor:
    """(…, 4) x1, y1, x2, y2 -> (…, 4) centre x, centre y, width, height."""
    return torch.cat([(boxes[..., :2] + boxes[..., 2:]) / 2, boxes[..., 2:] - boxes[..., :2]], dim=-1)


def normalised_boxes(target: Target, size: tuple[int, int]) -> Tensor:
    """(G, 4) cx, cy, w, h in shares of the unpadded image of `size` (height, width)."""
    height, width = size
    return to_centres(target.boxes.float() / target.boxes.new_tensor([width, height, width, height]).float())


def boxes_in_pixels(boxes: Tensor, sizes: list[tuple[int, int]]) -> Tensor:
    """(B, Q, 4) cx, cy, w, h in shares of images of these sizes (height, width) -> (B, Q, 4) xyxy in pixels, without
    gradient."""
    scale = boxes.new_tensor([[width, height] * 2 for height, width in sizes])  # (B, 4)
    return to_corners(boxes.detach().float()) * scale[:, None]


def pairwise_overlap(boxes: Tensor, others: Tensor, *, pixel: float = 0.0) -> tuple[Tensor, Tensor]:
    """(N, 4), (M, 4) xyxy -> intersection over union and union, both (N, M).

    `pixel` is 1 where x2, y2 are the last pixel inside a box (width = x2 - x1 + 1), else 0.
    """
    size = (
        torch.minimum(boxes[:, None, 2:], others[:, 2:]) - torch.maximum(boxes[:, None, :2], others[:, :2]) + pixel
    ).clamp(min=0)  # (N, M, 2)
    intersection = size.prod(dim=-1)
    areas, other_areas = ((each[:, 2:] - each[:, :2] + pixel).prod(dim=-1) for each in (boxes, others))
    union = areas[:, None] + other_areas - intersection
    return intersection / union, union


def pairwise_iou(boxes: Tensor, others: Tensor, *, pixel: float = 0.0) -> Tensor:
    """(N, 4), (M, 4) xyxy -> intersection over union (N, M); `pixel` as in `pairwise_overlap`."""
    return pairwise_overlap(boxes, others, pixel=pixel)[0]


def pairwise_giou(boxes: Tensor, others: Tensor, *, eps: float = 1e-7) -> Tensor:
    """(N, 4), (M, 4) xyxy -> generalised IoU (N, M); `eps` is added to the enclosure that divides."""
    iou, union = pairwise_overlap(boxes, others)
    enclosure = torch.maximum(boxes[:, None, 2:], others[:, 2:]) - torch.minimum(boxes[:, None, :2], others[:, :2])
    enclosed = enclosure.clamp(min=0).prod(dim=-1)  # (N, M)
    return iou - (enclosed - union) / (enclosed + eps)
