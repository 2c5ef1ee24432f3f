"""DyConv: deformable convolutions across neighbouring levels, scale attention, DyReLU (docs/spec/glip.md 6.3).

Internally everything is flat and channels-last: features (B, V, C), levels one after the other.
"""

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cones.models.glip.deformable import TAPS, Sampling, corners, gather, sampling_plan
from cones.models.layers.levels import unflatten_maps

Shapes = tuple[tuple[int, int], ...]
UPPER, OWN, LOWER = 0, 1, 2  # DyConv.0 reads level l + 1, DyConv.1 level l, DyConv.2 level l - 1


@lru_cache(maxsize=64)
def contributions(shapes: Shapes) -> tuple[tuple[tuple[int, Sampling], ...], ...]:
    """For each of DyConv.0, .1, .2: the (level it contributes to, what it reads) pairs, fine to coarse."""
    last = len(shapes) - 1
    return (
        tuple((level, Sampling(level + 1, 1, shapes[level + 1])) for level in range(last)),
        tuple((level, Sampling(level, 1, shapes[level])) for level in range(last + 1)),
        tuple((level, Sampling(level - 1, 2, shapes[level])) for level in range(1, last + 1)),
    )


def offsets_for(raw: Tensor, shape: tuple[int, int]) -> Tensor:
    """Offsets or modulation raw (B, n, H, W) of a level -> (B, n, h * w) for an output of another size h x w.

    The official kernel indexes the raw buffer of each image with the *output* size: a flat re-interpretation, neither
    cropping nor resizing. Checkpoints were trained with it. The same size gives the same values.
    """
    batch, channels = raw.shape[:2]
    height, width = shape
    return raw.reshape(batch, -1)[:, : channels * height * width].view(batch, channels, height * width)


def upsample(feature: Tensor, shape: tuple[int, int]) -> Tensor:
    """(B, C, h, w) -> (B, C, H, W), bilinear with the corner pixels aligned."""
    return F.interpolate(feature, size=shape, mode="bilinear", align_corners=True)


def hard_sigmoid(x: Tensor) -> Tensor:
    return F.relu6(x + 3) / 6


class DeformableConv(nn.Module):
    """The weights of one modulated deformable 3 x 3 convolution (`conv`) and the GroupNorm behind it (`bn`)."""

    def __init__(self, *, width: int, groups: int):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1)  # holds weight and bias; sampling happens outside
        self.bn = nn.GroupNorm(groups, width)

    def forward(self, columns: Tensor) -> Tensor:
        """columns (R, 9 * C), taps outermost -> (R, C), before the norm."""
        weight = self.conv.weight.permute(0, 2, 3, 1).flatten(1)  # (C, 3, 3, C) -> (C, 9 * C)
        return F.linear(columns, weight, self.conv.bias)

    def norm(self, rows: Tensor, batch: int, shape: tuple[int, int]) -> Tensor:
        """rows (B * h * w, C) of one map -> normalised (B, C, h, w), channels-last in memory."""
        return self.bn(rows.view(batch, *shape, -1).permute(0, 3, 1, 2))


class DyReLU(nn.Module):
    """max(x * a1 + b1, x * a2 + b2) with coefficients read from the pooled map."""

    def __init__(self, *, width: int, squeeze: int):
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(width, squeeze), nn.ReLU(), nn.Linear(squeeze, 4 * width))

    def coefficients(self, pooled: Tensor) -> Tensor:
        """pooled (…, C) -> (4, …, C): a1, b1, a2, b2."""
        a1, b1, a2, b2 = hard_sigmoid(self.fc(pooled)).chunk(4, dim=-1)
        return torch.stack([2 * (a1 - 0.5) + 1, b1 - 0.5, 2 * (a2 - 0.5), b2 - 0.5])


class DyConv(nn.Module):
    """One block of the dynamic head without its text side: (B, V, C) -> (B, V, C)."""

    def __init__(self, *, width: int, groups: int, squeeze: int):
        super().__init__()
        self.DyConv = nn.ModuleList(DeformableConv(width=width, groups=groups) for _ in range(3))
        self.AttnConv = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(width, 1, 1), nn.ReLU())
        self.relu = DyReLU(width=width, squeeze=squeeze)
        self.offset = nn.Conv2d(width, 3 * TAPS, 3, padding=1)
        for part in (*(block.conv for block in self.DyConv), self.AttnConv[1]):
            nn.init.normal_(part.weight, std=0.01)
            nn.init.zeros_(part.bias)
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)

    def forward(self, x: Tensor, shapes: Shapes) -> Tensor:
        """x (B, V, C); all levels read the block's input and are replaced together. Always in full precision."""
        with torch.autocast(x.device.type, enabled=False):
            x = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
            found = self.contribute(x, shapes)
            return self.aggregate(found, x.shape[0], shapes)

    def contribute(self, x: Tensor, shapes: Shapes) -> list[list[Tensor]]:
        """x (B, V, C) -> for each level its 2 or 3 contributions (B, C, H_l, W_l), normalised and upsampled."""
        batch = x.shape[0]
        kinds = contributions(shapes)
        offsets, modulation = self.steer(unflatten_maps(x, shapes), kinds)
        plan = sampling_plan(
            tuple(sampling for kind in kinds for _, sampling in kind), shapes, batch, x.device, x.dtype
        )
        index, weights = corners(offsets, modulation, plan)  # (R * 9, 4)
        features = x.reshape(-1, x.shape[-1])  # (B * V, C)
        counts = [[batch * s.shape[0] * s.shape[1] for _, s in kind] for kind in kinds]
        cuts = [TAPS * sum(count) for count in counts]
        found: list[list[Tensor]] = [[] for _ in shapes]
        for kind, (part, weight) in enumerate(zip(index.split(cuts), weights.split(cuts))):
            convolution = self.DyConv[kind]
            rows = convolution(gather(features, part, weight)).split(counts[kind])  # (B * h * w, C) each
            for (level, sampling), piece in zip(kinds[kind], rows):
                feature = convolution.norm(piece, batch, sampling.shape)
                if kind == UPPER:  # after the norm, before the scale attention
                    feature = upsample(feature, shapes[level])
                found[level].append(feature)
        return found

    def steer(self, maps: list[Tensor], kinds) -> tuple[Tensor, Tensor]:
        """Offsets (R, 9, 2) as (dy, dx) and modulation (R, 9) for all contributions: level l steers its three."""
        offsets, modulation = [], []
        raw = [self.offset(level) for level in maps]  # (B, 27, H_l, W_l)
        raw_offsets = [level[:, : 2 * TAPS] for level in raw]
        raw_modulation = [level[:, 2 * TAPS :].sigmoid() for level in raw]
        for kind in kinds:
            for level, sampling in kind:
                moved = offsets_for(raw_offsets[level], sampling.shape)  # (B, 18, h * w)
                offsets.append(moved.transpose(1, 2).reshape(-1, TAPS, 2))  # (B * h * w, 9, 2)
                scaled = offsets_for(raw_modulation[level], sampling.shape)  # (B, 9, h * w)
                modulation.append(scaled.transpose(1, 2).reshape(-1, TAPS))  # (B * h * w, 9)
        return torch.cat(offsets), torch.cat(modulation)

    def aggregate(self, found: list[list[Tensor]], batch: int, shapes: Shapes) -> Tensor:
        """Mean of the contributions weighted by their scale attention, then DyReLU -> (B, V, C)."""
        pooled = torch.stack([feature.mean(dim=(2, 3)) for level in found for feature in level])  # (13, B, C)
        convolution = self.AttnConv[1]
        weights = F.relu(F.linear(pooled, convolution.weight.flatten(1), convolution.bias))  # (13, B, 1)
        share = torch.cat([weights.new_full((len(level),), 1 / len(level)) for level in found])  # (13,)
        weights = hard_sigmoid(weights) * share.view(-1, 1, 1)
        counts = [len(level) for level in found]
        # the pooled weighted mean is the weighted mean of what was pooled above
        means = torch.stack([level.sum(dim=0) for level in (pooled * weights).split(counts)])  # (5, B, C)
        a1, b1, a2, b2 = self.relu.coefficients(means)[..., None, :]  # (5, B, 1, C)
        outputs = []
        for level, (features, weight) in enumerate(zip(found, weights.split(counts))):
            merged = sum(f * w[:, :, None, None] for f, w in zip(features, weight))  # (B, C, H, W)
            rows = merged.permute(0, 2, 3, 1).flatten(1, 2)  # (B, H * W, C)
            outputs.append(torch.maximum(rows * a1[level] + b1[level], rows * a2[level] + b2[level]))
        return torch.cat(outputs, dim=1)
