"""Where things are: padding masks of the levels and codes of image tokens."""

import torch
from torch import Tensor
from torch.nn import functional as F

from cones.models.detector import FeaturePyramid
from cones.models.layers.sine_codes import sine_code
from cones.models.layers.token_levels import Levels, Shapes

# A mask of the whole batch is shrunk to the sizes of the backbone's three outputs, and that of a further level from the
# mask of the finest level, not from the whole (docs/spec/uninext.md 2).
BACKBONE_LEVELS = 3


def levels_of(pyramid: FeaturePyramid) -> Levels:
    shapes = tuple(tuple(level.shape[-2:]) for level in pyramid.maps)
    return Levels.of_masks(shapes, level_masks(pyramid.padding, shapes))


def level_masks(padding: Tensor, shapes: Shapes) -> list[Tensor]:
    """padding (B, H, W) bool -> [(B, H_l, W_l)] bool by nearest (floor) sampling."""
    masks: list[Tensor] = []
    for level, shape in enumerate(shapes):
        source = padding if level < BACKBONE_LEVELS else masks[0]
        masks.append(F.interpolate(source[:, None].float(), size=shape, mode="nearest")[:, 0] > 0.5)
    return masks


def image_codes(levels: Levels, width: int) -> Tensor:
    """(B, N, width): the positional code of each token, without the embedding of its level."""
    return torch.cat([positional_map(mask, width).flatten(2).transpose(1, 2) for mask in levels.masks], dim=1)


def positional_map(mask: Tensor, width: int) -> Tensor:
    """mask (B, H, W) bool, True on padding -> (B, width, H, W): first the code of y, then that of x, over 0 … 2 pi."""
    valid = (~mask).float()
    y, x = valid.cumsum(dim=1), valid.cumsum(dim=2)  # (B, H, W), from 1
    y = (y - 0.5) / (y[:, -1:] + 1e-6)
    x = (x - 0.5) / (x[:, :, -1:] + 1e-6)
    code = torch.cat([sine_code(y, width // 2), sine_code(x, width // 2)], dim=-1)  # (B, H, W, width)
    return code.permute(0, 3, 1, 2)


def inverse_sigmoid(x: Tensor, eps: float = 1e-5) -> Tensor:
    """The logit of x, of which each side is at least `eps`."""
    x = x.clamp(0, 1)
    return torch.log(x.clamp(min=eps) / (1 - x).clamp(min=eps))
