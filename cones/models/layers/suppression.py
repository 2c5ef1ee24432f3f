"""Greedy non-maximum suppression, each class on its own."""

import torch
from torch import Tensor

from cones.models.layers.boxes import pairwise_iou


def class_wise_nms(boxes: Tensor, scores: Tensor, labels: Tensor, threshold: float, *, pixel: float = 0.0) -> Tensor:
    """Indices (ascending) of the boxes that greedy suppression by score leaves, each class on its own.

    A box goes if its IoU with a kept, better box of its class is above `threshold`; `pixel` as in `pairwise_iou`.
    """
    kept = [torch.empty(0, dtype=torch.long, device=boxes.device)]
    for label in labels.unique().tolist():
        members = (labels == label).nonzero().flatten()
        members = members[scores[members].argsort(descending=True, stable=True)]
        overlaps = pairwise_iou(boxes[members], boxes[members], pixel=pixel) > threshold
        overlaps = overlaps.triu(diagonal=1)  # (N, N), better first
        kept.append(members[survivors(overlaps)])
    return torch.cat(kept).sort().values


def survivors(overlaps: Tensor) -> Tensor:
    """overlaps (N, N) bool, upper triangle, best first -> (N,) bool: the fixed point of greedy suppression.

    Each round settles at least the next undecided box, and mostly whole chains, so that few rounds are needed.
    """
    alive = torch.ones(len(overlaps), dtype=torch.bool, device=overlaps.device)
    while True:
        settled = ~(overlaps & alive[:, None]).any(dim=0)
        if torch.equal(settled, alive):
            return alive
        alive = settled
