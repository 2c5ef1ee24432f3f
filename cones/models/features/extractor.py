"""The seam of image features: a frozen model that turns pictures, and some of them texts, into unit rows."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from PIL import Image

BATCH = 32


class FeatureExtractor(ABC):
    """A cosine between two pictures, or between picture and text, is the product of their rows."""

    reads_texts = False

    def __init__(self, model: nn.Module, device: torch.device):
        self.model, self.device = model.to(device).eval().requires_grad_(False), device

    @torch.no_grad()
    def pictures(self, pictures: "Sequence[Image.Image]") -> Tensor:
        """(P, D) rows of length 1, float32, on the CPU."""
        parts = [pictures[at : at + BATCH] for at in range(0, len(pictures), BATCH)]
        return F.normalize(torch.cat([self._features(part).float().cpu() for part in parts]), dim=-1)

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """(T, D) rows of length 1, of an extractor that `reads_texts`."""
        parts = [texts[at : at + BATCH] for at in range(0, len(texts), BATCH)]
        return F.normalize(torch.cat([self._text_features(part).float().cpu() for part in parts]), dim=-1)

    @abstractmethod
    def _features(self, pictures: "Sequence[Image.Image]") -> Tensor:
        """(B, D) of any length."""

    def _text_features(self, texts: Sequence[str]) -> Tensor:
        """(B, D) of any length."""
        raise NotImplementedError
