"""Layers whose start is drawn from a cell's own generator."""

import torch
from torch import nn


def linear(width_in: int, width_out: int, *, bias: bool = True, generator: torch.Generator) -> nn.Linear:
    """A linear layer that starts as PyTorch starts it: weights and biases uniform within +-1/sqrt(width_in)."""
    layer = nn.Linear(width_in, width_out, bias=bias)
    reach = width_in**-0.5
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.uniform_(-reach, reach, generator=generator)
    return layer
