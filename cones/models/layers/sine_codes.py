"""Sine codes of numbers and boxes."""

import math

import torch
from torch import Tensor

TEMPERATURE = 10000.0


def sine_code(value: Tensor, width: int, temperature: float = TEMPERATURE) -> Tensor:
    """value (…) in shares -> (…, width): sine and cosine of 2 pi * value, interleaved, each frequency twice."""
    power = torch.arange(width // 2, device=value.device, dtype=value.dtype) * (2 / width)
    angle = value[..., None] * (2 * math.pi) / temperature**power  # (…, width / 2)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)


def box_code(boxes: Tensor, width: int) -> Tensor:
    """boxes (…, 4) cx, cy, w, h in shares -> (…, 2 * width): codes of y, x, w, h in this order, width / 2 each."""
    return sine_code(boxes[..., [1, 0, 2, 3]], width // 2).flatten(-2)
