"""From head outputs to detections: class scores, the best of each level, class-wise NMS (docs/spec/glip.md 9)."""

import torch
from torch import Tensor

from cones.models.detector import Detections
from cones.models.glip.anchors import decode
from cones.models.glip.head import HeadOutputs
from cones.models.layers.suppression import class_wise_nms
from cones.runtime.devices import float32_product

SCORE_THRESHOLD = 0.05
CANDIDATES_PER_LEVEL = 1000
NMS_IOU = 0.6


def class_scores(logits: Tensor, class_positions: Tensor) -> Tensor:
    """logits (B, V, L), class_positions (B, K, L) bool -> (B, V, K): mean of the probabilities of a class's tokens.

    A class without positions scores 0.
    """
    share = class_positions.to(logits.dtype)  # (B, K, L)
    share = share / share.sum(dim=-1, keepdim=True).clamp(min=1)
    return float32_product(logits.sigmoid(), share.transpose(1, 2))


def detect(
    outputs: HeadOutputs,
    class_positions: Tensor,
    anchors: Tensor,
    level_sizes: list[int],
    sizes: list[tuple[int, int]],
    limit: int,
) -> list[Detections]:
    """One `Detections` per image, in the order of the levels; boxes inclusive, clipped to `sizes` (height, width).

    `limit` boxes per image are kept; more only if several share the score of the last one.
    """
    scores = class_scores(outputs.logits.float(), class_positions)  # (B, V, K)
    centerness = outputs.centerness.float().sigmoid()  # (B, V)
    found = []
    for image, size in enumerate(sizes):
        index, labels, values = candidates(scores[image], centerness[image], level_sizes)
        boxes = decode(outputs.deltas[image].float()[index], anchors.float()[index])
        found.append(select(boxes, values, labels, size, limit))
    return found


def candidates(scores: Tensor, centerness: Tensor, level_sizes: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """scores (V, K), centerness (V,) -> anchor index, label, final score, each (N,): the best 1000 of each level.

    The threshold applies to the class score alone, the ranking to score * centreness, of which the root is returned.
    """
    index, labels = (scores > SCORE_THRESHOLD).nonzero(as_tuple=True)
    values = scores[index, labels] * centerness[index]
    kept, start = [], 0
    for size in level_sizes:
        inside = ((index >= start) & (index < start + size)).nonzero().flatten()
        if len(inside) > CANDIDATES_PER_LEVEL:
            inside = inside[values[inside].topk(CANDIDATES_PER_LEVEL).indices]
        kept.append(inside)
        start += size
    kept = torch.cat(kept)
    return index[kept], labels[kept], values[kept].sqrt()


def select(boxes: Tensor, scores: Tensor, labels: Tensor, size: tuple[int, int], limit: int) -> Detections:
    """Clip to the image, drop boxes turned inside out, suppress, keep the best `limit`."""
    height, width = size
    last = boxes.new_tensor([width - 1, height - 1, width - 1, height - 1])
    boxes = torch.minimum(boxes.clamp(min=0), last)
    kept = (boxes[:, 2:] - boxes[:, :2] + 1 >= 0).all(dim=1).nonzero().flatten()
    kept = kept[class_wise_nms(boxes[kept], scores[kept], labels[kept], NMS_IOU, pixel=1.0)]
    if len(kept) > limit:
        kept = kept[scores[kept] >= scores[kept].topk(limit).values[-1]]
    return Detections(boxes[kept], scores[kept], labels[kept])
