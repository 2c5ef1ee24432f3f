"""The distributions of variational prompts: their mean and the logarithm of their variance (`variational.py`)."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from cones.methods.drawn_layers import linear


class FreePosterior(nn.Module):
    """Mean and logarithm of the variance, the same for every image: (1, w) each."""

    def __init__(self, width: int, generator: torch.Generator):
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(1, width))
        self.log_variance = nn.Parameter(torch.rand(1, width, generator=generator))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.mean, self.log_variance


class ImagePosterior(nn.Module):
    """The same from unit image features (B, d) -> (B, w) each."""

    def __init__(self, width_in: int, width: int, generator: torch.Generator):
        super().__init__()
        self.mean, self.log_variance = (self._network(width_in, width, generator) for _ in range(2))

    @staticmethod
    def _network(width_in: int, width: int, generator: torch.Generator) -> nn.Sequential:
        widths = [width_in, width_in // 2, width_in // 2, width]
        layers = [linear(*pair, generator=generator) for pair in pairwise(widths)]
        return nn.Sequential(layers[0], nn.ELU(), layers[1], nn.ELU(), layers[2])

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        return self.mean(images), self.log_variance(images)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL of N(mean, exp log_variance), both (B, w), from the standard normal one, mean over dimensions: (B,)."""
    return ((log_variance.exp() + mean.square() - 1 - log_variance) / 2).mean(-1)
