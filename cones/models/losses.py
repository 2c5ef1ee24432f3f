"""Named loss terms that stay exact however a batch is cut: every term is a sum and the number it is divided by."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class LossTerm(NamedTuple):
    """One weighted term over some images: `sum / max(normaliser, floor)`, where sum and normaliser add up over images.

    The normalisers of all parts of a batch are added before dividing, so gradient accumulation, splitting after an
    out-of-memory error and several GPUs give exactly the loss of the whole batch.
    """

    sum: Tensor  # scalar, differentiable, already weighted
    normaliser: Tensor  # scalar, not differentiable
    floor: float = 1.0


LossTerms = dict[str, LossTerm]


def normalised(terms: LossTerms, normalisers: dict[str, Tensor] | None = None) -> dict[str, Tensor]:
    """{term: value}; `normalisers` are those of the whole batch when `terms` covers only a part of it."""
    normalisers = normalisers or {name: term.normaliser for name, term in terms.items()}
    return {name: term.sum / normalisers[name].clamp(min=term.floor) for name, term in terms.items()}


def add_normalisers(parts: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    """The normalisers of a batch from those of its parts."""
    return {name: torch.stack([part[name] for part in parts]).sum() for name in parts[0]}


def sigmoid_focal_loss(logits: Tensor, targets: Tensor, *, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """Focal loss of each element; targets 0 or 1, shaped as `logits`; `alpha` weighs positives, 1 - alpha negatives.

    -alpha_t (1 - p_t)^gamma log(p_t) with p_t the probability of the true answer (Lin et al. 2017, eq. 5).
    """
    signed = logits * (1 - 2 * targets)  # the logit of the wrong answer
    weight = (1 - alpha) + (2 * alpha - 1) * targets
    return weight * signed.sigmoid() ** gamma * F.softplus(signed)


def giou_loss(boxes: Tensor, targets: Tensor, *, eps: float = 1e-7) -> Tensor:
    """1 - generalised IoU of paired boxes (P, 4) xyxy -> (P,). Areas are continuous (no +1 pixel).

    A predicted x2 < x1 (or y2 < y1) counts as an empty box at x1 (y1); `eps` is added to union and enclosure.
    """
    lower = boxes[:, :2]
    upper = torch.maximum(lower, boxes[:, 2:])
    overlap = (torch.minimum(upper, targets[:, 2:]) - torch.maximum(lower, targets[:, :2])).clamp(min=0)
    enclosure = torch.maximum(upper, targets[:, 2:]) - torch.minimum(lower, targets[:, :2])  # (P, 2)
    intersection = overlap.prod(dim=-1)
    area, target_area = (upper - lower).prod(dim=-1), (targets[:, 2:] - targets[:, :2]).prod(dim=-1)
    union = area + target_area - intersection + eps
    enclosed = enclosure.prod(dim=-1) + eps
    return 1 - (intersection / union - (enclosed - union) / enclosed)
