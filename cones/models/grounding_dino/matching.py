"""What it costs that a query answers for an object (docs/spec/grounding_dino.md, section 3)."""

import torch
from torch import Tensor

from cones.models.grounding_dino.config import Weights
from cones.models.layers.boxes import pairwise_giou, to_corners
from cones.models.layers.matching import focal_cost
from cones.runtime.devices import float32_product


@torch.no_grad()
def matching_cost(logits: Tensor, boxes: Tensor, positive: Tensor, objects: Tensor, cost: Weights) -> Tensor:
    """logits (Q, L), boxes (Q, 4), positive (G, L) bool, objects (G, 4) -> (Q, G); boxes cx, cy, w, h in shares of the
    image.

    The class costs the mean of the focal costs of its rows, as in transformers (loss/loss_grounding_dino.py); rows of
    no object are not looked at.
    """
    share = positive.to(logits.dtype) / positive.sum(dim=1, keepdim=True).clamp(min=1)  # (G, L)
    total = cost.classification * float32_product(focal_cost(logits), share.T)  # (Q, G)
    total = total + cost.box * torch.cdist(boxes, objects, p=1)
    return total - cost.giou * pairwise_giou(to_corners(boxes), to_corners(objects))
