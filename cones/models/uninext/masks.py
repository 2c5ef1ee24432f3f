"""Masks: image features, and for every query three small convolutions of its own (docs/spec/uninext.md 10)."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cones.models.layers.token_levels import grid
from cones.runtime.devices import full_precision

FEATURES = 8  # channels of the mask features
HIDDEN = 8
WEIGHTS = ((HIDDEN, FEATURES + 2), (HIDDEN, HIDDEN), (1, HIDDEN))  # (out, in) of the three convolutions
PARAMETERS = sum(rows * columns for rows, columns in WEIGHTS) + sum(rows for rows, _ in WEIGHTS)  # 169


class MaskFeatures(nn.Module):
    """Three levels merged from coarse to fine, then narrowed to `FEATURES` channels; ReLU after every convolution."""

    def __init__(self, *, width: int, middle: int):
        super().__init__()
        self.lay1 = nn.Conv2d(width, middle, 3, padding=1)
        self.lay2 = nn.Conv2d(middle, FEATURES, 3, padding=1)
        self.lay3 = nn.Conv2d(width, width, 3, padding=1)
        self.lay4 = nn.Conv2d(width, width, 3, padding=1)
        self.jia_dcn = nn.Conv2d(width, width, 3, padding=1)
        for convolution in self.children():
            nn.init.kaiming_uniform_(convolution.weight, a=1)
            nn.init.zeros_(convolution.bias)

    def forward(self, maps: list[Tensor]) -> Tensor:
        """The three finest maps (B, C, H_l, W_l), fine to coarse -> (B, 8, H_0, W_0)."""
        fine, middle, coarse = maps
        f = F.relu(self.lay3(coarse))
        f = F.relu(self.lay4(middle + F.interpolate(f, size=middle.shape[-2:], mode="nearest")))
        f = F.relu(self.jia_dcn(fine + F.interpolate(f, size=fine.shape[-2:], mode="nearest")))
        return F.relu(self.lay2(F.relu(self.lay1(f))))


def dynamic_masks(features: Tensor, parameters: Tensor, centres: Tensor, stride: int) -> Tensor:
    """Mask logits of M queries of one image, at half the stride of its features.

    features (8, h, w); parameters (M, 169), all weights before all biases; centres (M, 2) x, y of the boxes going into
    the layer, in pixels -> (M, 2 h, 2 w). Each query sees the features and how far, in pixels, each place lies from it.
    In float32: half precision knows pixels beyond 512 in steps of four only.
    """
    height, width = features.shape[1:]
    places = grid(height, width, features.device) * stride + stride // 2  # (h, w, 2) x, y
    relative = centres[:, :, None, None] - places.permute(2, 0, 1)  # (M, 2, h, w)
    weights, biases = split_parameters(full_precision(parameters))
    features = full_precision(features).expand(len(parameters), -1, -1, -1)
    x = torch.cat([relative, features], dim=1).flatten(2)  # (M, 10, h * w)
    with torch.autocast(x.device.type, enabled=False):
        for layer, (weight, bias) in enumerate(zip(weights, biases)):
            x = torch.baddbmm(bias[..., None], weight, x)  # (M, out, h * w)
            x = F.relu(x) if layer < len(weights) - 1 else x
    return aligned_double(x.unflatten(-1, (height, width))).squeeze(1)  # (M, 2 h, 2 w)


def split_parameters(parameters: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """(M, 169) -> the weights (M, out, in) and the biases (M, out) of the three convolutions."""
    sizes = [rows * columns for rows, columns in WEIGHTS] + [rows for rows, _ in WEIGHTS]
    pieces = parameters.split(sizes, dim=1)
    weights = [piece.unflatten(1, shape) for piece, shape in zip(pieces, WEIGHTS)]  # (M, out, in)
    return weights, list(pieces[len(WEIGHTS) :])


def aligned_double(x: Tensor) -> Tensor:
    """(M, C, h, w) -> (M, C, 2 h, 2 w), bilinear with aligned corners around one replicated row and column."""
    height, width = x.shape[-2:]
    x = F.pad(x, (0, 1, 0, 1), mode="replicate")
    x = F.interpolate(x, size=(2 * height + 1, 2 * width + 1), mode="bilinear", align_corners=True)
    x = F.pad(x, (1, 0, 1, 0), mode="replicate")
    return x[..., : 2 * height, : 2 * width]
