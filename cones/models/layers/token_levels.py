"""The levels of a feature pyramid as transformers with several levels see them: padding, and where each token is."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import torch
from torch import Tensor

Shapes = tuple[tuple[int, int], ...]


@dataclass
class Levels:
    """The levels of a batch, fine to coarse; tokens are the positions of all levels, each level row-major.

    shapes        (H_l, W_l) of each level
    masks         [(B, H_l, W_l)] bool, True on padding
    valid_ratios  (B, levels, 2) share of each level that is not padding: x, y
    """

    shapes: Shapes
    masks: list[Tensor]
    valid_ratios: Tensor

    @classmethod
    def of_masks(cls, shapes: Shapes, masks: list[Tensor]) -> "Levels":
        """From the padding of each level."""
        ratios = [
            torch.stack([(~mask[:, 0]).float().mean(dim=1), (~mask[:, :, 0]).float().mean(dim=1)], dim=-1)
            for mask in masks
        ]  # (B, 2) each
        return cls(shapes, masks, torch.stack(ratios, dim=1))

    @cached_property
    def padding(self) -> Tensor:
        """(B, N) bool, True on padded tokens."""
        return torch.cat([mask.flatten(1) for mask in self.masks], dim=1)

    @cached_property
    def padding_if_any(self) -> Tensor | None:
        """`padding`, or None where no image of the batch has any."""
        return self.padding if bool(self.padding.any()) else None

    def reference_points(self) -> Tensor:
        """(B, N, levels, 2) x, y: the centre of each token as seen on each level, in shares of that padded level."""
        centres = []
        for level, (height, width) in enumerate(self.shapes):
            ratio = self.valid_ratios[:, None, level]  # (B, 1, 2)
            size = level_sizes(self.shapes, ratio.device)[level].to(ratio.dtype)
            centres.append((grid(height, width, ratio.device) + 0.5).view(1, -1, 2) / (size * ratio))  # (B, H * W, 2)
        return torch.cat(centres, dim=1)[:, :, None] * self.valid_ratios[:, None]  # (B, N, levels, 2)


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # a cached constant must be usable in training, whoever asked for it first
def level_sizes(shapes: Shapes, device: torch.device) -> Tensor:
    """(levels, 2) float32: W, H of each level. Kept, since bringing it to a GPU waits for all that was asked before."""
    return torch.tensor([(width, height) for height, width in shapes], dtype=torch.float32, device=device)


def spread_over_levels(rows: Tensor, shapes: Shapes) -> Tensor:
    """rows (levels, C) -> (N, C): of each token what its level has."""
    return torch.cat([row.expand(height * width, -1) for row, (height, width) in zip(rows, shapes, strict=True)])


def grid(height: int, width: int, device: torch.device) -> Tensor:
    """(H, W, 2): x, y of each cell as whole numbers in float."""
    y, x = torch.meshgrid(torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij")
    return torch.stack([x, y], dim=-1).float()
