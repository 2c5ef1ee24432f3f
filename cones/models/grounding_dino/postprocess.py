"""Query outputs -> detections, by the protocol of the published AP (docs/spec/grounding_dino.md, 1.6).

IDEA-Research/GroundingDINO, demo/test_ap_on_coco.py, and mmdetection agree: no suppression, no threshold.
"""

import torch
from torch import Tensor

from cones.models.detector import Detections
from cones.models.layers.boxes import to_corners
from cones.runtime.devices import float32_product, full_precision


def class_scores(logits: Tensor, class_positions: Tensor) -> Tensor:
    """logits (Q, L), class_positions (K, L) bool -> (Q, K): the mean probability of a class's rows."""
    share = class_positions / class_positions.sum(dim=1, keepdim=True).clamp(min=1)  # (K, L)
    return float32_product(logits.sigmoid(), share.T)


def detect_one(
    logits: Tensor,
    boxes: Tensor,
    class_positions: Tensor,
    *,
    size: tuple[int, int],
    bounds: tuple[int, int],
    limit: int,
) -> Detections:
    """The best `limit` pairs of query and class, best first; a class without rows is never detected.

    logits (Q, L), boxes (Q, 4) cx, cy, w, h in shares of the unpadded image of `size` (height, width); boxes are
    clipped to `bounds`.
    """
    said = class_positions.any(dim=1).nonzero().flatten()  # (K',) the classes that have rows
    scores = class_scores(full_precision(logits), class_positions[said])  # (Q, K')
    best = scores.flatten().topk(min(limit, scores.numel()))
    query, column = best.indices // max(len(said), 1), best.indices % max(len(said), 1)
    scale, edge = (boxes.new_tensor([width, height] * 2) for height, width in (size, bounds))
    corners = torch.minimum((to_corners(boxes[query]) * scale).clamp(min=0), edge)
    return Detections(corners, best.values, said[column])
