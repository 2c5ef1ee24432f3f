"""ATSS: which anchors are positive for which ground-truth box (docs/spec/glip.md 8)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from cones.models.layers.boxes import pairwise_iou

CANDIDATES_PER_LEVEL = 9
MARGIN = 0.01  # pixels by which an anchor's centre lies inside its box


@dataclass
class Assignment:
    """index (P,) int64 positive anchors, ascending; box (P,) int64 the ground-truth box of each."""

    index: Tensor
    box: Tensor


def assign(boxes: Tensor, anchors: Tensor, level_sizes: list[int]) -> Assignment:
    """boxes (G, 4) inclusive pixels, anchors (V, 4), number of anchors per level -> the positives.

    Per box: the 9 nearest anchors of each level are candidates; those whose IoU reaches mean + (unbiased) standard
    deviation of the box's candidates and whose centre lies inside the box are positive. An anchor of several boxes goes
    to the one of highest IoU. A box may end up without any.
    """
    if len(boxes) == 0:
        empty = torch.empty(0, dtype=torch.long, device=anchors.device)
        return Assignment(empty, empty)
    boxes = boxes.to(anchors.dtype)
    centres = (anchors[:, :2] + anchors[:, 2:]) / 2  # (V, 2)
    box_centres = (boxes[:, :2] + boxes[:, 2:]) / 2  # (G, 2)
    distance = (centres[:, None] - box_centres).square().sum(dim=-1).sqrt()  # (V, G)
    nearest, start = [], 0
    for level in distance.split(level_sizes):
        nearest.append(level.topk(min(CANDIDATES_PER_LEVEL, len(level)), dim=0, largest=False).indices + start)
        start += len(level)
    candidates = torch.cat(nearest)  # (N, G)

    iou = pairwise_iou(anchors, boxes, pixel=1.0)  # (V, G)
    candidate_iou = iou.gather(0, candidates)  # (N, G)
    threshold = candidate_iou.mean(dim=0) + candidate_iou.std(dim=0)  # (G,), unbiased
    centre = centres[candidates]  # (N, G, 2)
    margins = torch.cat([centre - boxes[:, :2], boxes[:, 2:] - centre], dim=-1)  # (N, G, 4)
    positive = (candidate_iou >= threshold) & (margins.amin(dim=-1) > MARGIN)  # (N, G)

    claimed = torch.full_like(iou, -1.0)
    claimed.scatter_(0, candidates, torch.where(positive, candidate_iou, -1.0))  # (V, G)
    best, box = claimed.max(dim=1)
    index = (best > -1.0).nonzero().flatten()
    return Assignment(index, box[index])


def centerness_targets(anchors: Tensor, boxes: Tensor) -> Tensor:
    """anchors (P, 4) whose centres lie inside boxes (P, 4) -> c* (P,) in (0, 1]."""
    centre = (anchors[:, :2] + anchors[:, 2:]) / 2  # (P, 2)
    before, after = centre - boxes[:, :2], boxes[:, 2:] - centre  # left, top; right, bottom
    ratio = torch.minimum(before, after) / torch.maximum(before, after)  # (P, 2)
    return ratio.prod(dim=-1).sqrt()
