"""Named loss terms that stay exact however a batch is cut: every term is a sum and the number it is divided by."""

from typing import NamedTuple

import torch
from torch import Tensor


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
