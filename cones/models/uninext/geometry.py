"""Where things are: padding masks, positional maps, reference points, and the sine codes of places and boxes."""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from cones.models.detector import FeaturePyramid

TEMPERATURE = 10000.0
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
    def of(cls, pyramid: FeaturePyramid) -> "Levels":
        shapes = tuple(tuple(level.shape[-2:]) for level in pyramid.maps)
        return cls.of_masks(shapes, level_masks(pyramid.padding, shapes))

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
            size = ratio.new_tensor([width, height])
            centres.append((grid(height, width, ratio.device) + 0.5).view(1, -1, 2) / (size * ratio))  # (B, H * W, 2)
        return torch.cat(centres, dim=1)[:, :, None] * self.valid_ratios[:, None]  # (B, N, levels, 2)

    def positions(self, width: int) -> Tensor:
        """(B, N, width): the positional code of each token, without the embedding of its level."""
        return torch.cat([positional_map(mask, width).flatten(2).transpose(1, 2) for mask in self.masks], dim=1)


# A mask of the whole batch is shrunk to the sizes of the backbone's three outputs, and that of a further level from the
# mask of the finest level, not from the whole (docs/spec/uninext.md 2).
BACKBONE_LEVELS = 3


def level_masks(padding: Tensor, shapes: Shapes) -> list[Tensor]:
    """padding (B, H, W) bool -> [(B, H_l, W_l)] bool by nearest (floor) sampling."""
    masks: list[Tensor] = []
    for level, shape in enumerate(shapes):
        source = padding if level < BACKBONE_LEVELS else masks[0]
        masks.append(F.interpolate(source[:, None].float(), size=shape, mode="nearest")[:, 0] > 0.5)
    return masks


def grid(height: int, width: int, device: torch.device) -> Tensor:
    """(H, W, 2): x, y of each cell as whole numbers in float."""
    y, x = torch.meshgrid(torch.arange(height, device=device), torch.arange(width, device=device), indexing="ij")
    return torch.stack([x, y], dim=-1).float()


def positional_map(mask: Tensor, width: int) -> Tensor:
    """mask (B, H, W) bool, True on padding -> (B, width, H, W): first the code of y, then that of x, over 0 … 2 pi."""
    valid = (~mask).float()
    y, x = valid.cumsum(dim=1), valid.cumsum(dim=2)  # (B, H, W), from 1
    y = (y - 0.5) / (y[:, -1:] + 1e-6)
    x = (x - 0.5) / (x[:, :, -1:] + 1e-6)
    code = torch.cat([sine_code(y, width // 2), sine_code(x, width // 2)], dim=-1)  # (B, H, W, width)
    return code.permute(0, 3, 1, 2)


def sine_code(value: Tensor, width: int, temperature: float = TEMPERATURE) -> Tensor:
    """value (…) in shares -> (…, width): sine and cosine of 2 pi * value, interleaved, each frequency twice."""
    power = torch.arange(width // 2, device=value.device, dtype=value.dtype) * (2 / width)
    angle = value[..., None] * (2 * math.pi) / temperature**power  # (…, width / 2)
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(-2)


def box_code(boxes: Tensor, width: int) -> Tensor:
    """boxes (…, 4) cx, cy, w, h in shares -> (…, 2 * width): codes of y, x, w, h in this order, width / 2 each."""
    return sine_code(boxes[..., [1, 0, 2, 3]], width // 2).flatten(-2)


def inverse_sigmoid(x: Tensor, eps: float = 1e-5) -> Tensor:
    """The logit of x, of which each side is at least `eps`."""
    x = x.clamp(0, 1)
    return torch.log(x.clamp(min=eps) / (1 - x).clamp(min=eps))
