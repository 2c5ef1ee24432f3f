"""The levels of a feature pyramid as one sequence of positions, and back."""

import torch
from torch import Tensor


def flatten_maps(maps: list[Tensor]) -> tuple[Tensor, list[tuple[int, int]]]:
    """maps[l] (B, C, H_l, W_l) -> ((B, V, C), [(H_l, W_l)]): levels one after the other, each row-major."""
    flat = [level.flatten(2).transpose(1, 2) for level in maps]  # (B, H_l * W_l, C)
    return torch.cat(flat, dim=1), [tuple(level.shape[-2:]) for level in maps]


def unflatten_maps(flat: Tensor, shapes: list[tuple[int, int]]) -> list[Tensor]:
    """The inverse of `flatten_maps`; the maps are channels-last views, nothing is copied."""
    pieces = flat.split([height * width for height, width in shapes], dim=1)  # (B, H_l * W_l, C)
    return [piece.unflatten(1, shape).permute(0, 3, 1, 2) for piece, shape in zip(pieces, shapes)]  # (B, C, H, W)
