"""Which query answers for which object: one to one, at the lowest cost (docs/spec/grounding_dino.md, section 3)."""

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from cones.models.grounding_dino.config import Weights
from cones.models.layers.boxes import pairwise_giou, to_corners
from cones.models.uninext.matching import UNKNOWN, Match, focal_cost
from cones.runtime.devices import float32_product


@torch.no_grad()
def match(logits: Tensor, boxes: Tensor, positive: Tensor, objects: Tensor, cost: Weights) -> Match:
    """logits (Q, L), boxes (Q, 4); positive (G, L) bool, objects (G, 4); boxes cx, cy, w, h in shares of the image.

    min(Q, G) queries and the object that each serves. The class costs the mean of the focal costs of its rows, as in
    transformers (loss/loss_grounding_dino.py); rows of no object are not looked at.
    """
    share = positive.to(logits.dtype) / positive.sum(dim=1, keepdim=True).clamp(min=1)  # (G, L)
    total = cost.classification * float32_product(focal_cost(logits), share.T)  # (Q, G)
    total = total + cost.box * torch.cdist(boxes, objects, p=1)
    total = total - cost.giou * pairwise_giou(to_corners(boxes), to_corners(objects))
    queries, served = linear_sum_assignment(total.nan_to_num(nan=UNKNOWN, posinf=UNKNOWN).cpu().numpy())
    return torch.from_numpy(queries).to(boxes.device), torch.from_numpy(served).to(boxes.device)
