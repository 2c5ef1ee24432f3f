"""Where image tokens and rows of text are: masks of the levels and sine codes (docs/spec/grounding_dino.md, 1.2, 1.4).

The codes are those of IDEA-Research/GroundingDINO, models/GroundingDINO/backbone/position_encoding.py (image) and
models/GroundingDINO/utils.py (text).
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from cones.models.detector import FeaturePyramid
from cones.models.layers.sine_codes import sine_code
from cones.models.layers.token_levels import Levels

TEMPERATURE = 20.0  # of the codes of image tokens


def levels_of(pyramid: FeaturePyramid) -> Levels:
    """The levels of a pyramid; the mask of each is sampled from that of the pixels (nearest)."""
    shapes = tuple(tuple(level.shape[-2:]) for level in pyramid.maps)
    padding = pyramid.padding[:, None].float()  # (B, 1, H, W)
    return Levels.of_masks(shapes, [F.interpolate(padding, size=shape, mode="nearest")[:, 0] > 0.5 for shape in shapes])


def image_codes(levels: Levels, width: int) -> Tensor:
    """(B, N, width): y, then x of each token in shares of the unpadded level, counted from one cell, not from half."""
    return torch.cat([level_code(mask, width).flatten(1, 2) for mask in levels.masks], dim=1)


def level_code(padding: Tensor, width: int) -> Tensor:
    """padding (B, H, W) bool -> (B, H, W, width)."""
    valid = (~padding).float()
    y, x = valid.cumsum(dim=1), valid.cumsum(dim=2)  # (B, H, W), from 1
    y, x = y / (y[:, -1:] + 1e-6), x / (x[:, :, -1:] + 1e-6)
    return torch.cat([sine_code(each, width // 2, TEMPERATURE) for each in (y, x)], dim=-1)


def text_codes(places: Tensor, width: int) -> Tensor:
    """places (B, L) of rows in their phrases, from 0 -> (B, L, width)."""
    return sine_code(places.float(), width)
