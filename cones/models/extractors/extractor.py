"""The seam of image features: a frozen model that turns pictures, and some of them texts, into unit rows."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from PIL import Image

BATCH = 32


def unit_rows(features: Callable[[Sequence], Tensor], of: Sequence) -> Tensor:
    """What `features` makes of a sequence, some at a time: rows of length 1, float32, on the CPU."""
    parts = [of[at : at + BATCH] for at in range(0, len(of), BATCH)]
    return F.normalize(torch.cat([features(part).float().cpu() for part in parts]), dim=-1)


class FeatureExtractor(ABC):
    """A cosine between two pictures, or between picture and text, is the product of their rows."""

    def __init__(self, model: nn.Module, device: torch.device):
        self.model, self.device = model.to(device).eval().requires_grad_(False), device

    @torch.no_grad()
    def pictures(self, pictures: "Sequence[Image.Image]") -> Tensor:
        """(P, D) rows of length 1, float32, on the CPU."""
        return unit_rows(self._features, pictures)

    @abstractmethod
    def _features(self, pictures: "Sequence[Image.Image]") -> Tensor:
        """(B, D) of any length."""


class ReadsTexts(FeatureExtractor):
    """One that puts texts beside pictures."""

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """(T, D) rows of length 1."""
        return unit_rows(self._text_features, texts)

    @abstractmethod
    def _text_features(self, texts: Sequence[str]) -> Tensor:
        """(B, D) of any length."""
