"""Modulated deformable 3 x 3 sampling of many (map, stride) pairs as one weighted gather (docs/spec/glip.md 6.3)."""

from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

TAPS = 9


@dataclass(frozen=True)
class Sampling:
    """One deformable convolution to be done: level `source` read with `stride`, giving a map of the given shape."""

    source: int
    stride: int
    shape: tuple[int, int]


@dataclass(frozen=True)
class SamplingPlan:
    """What does not depend on the network for R output positions (sampling by sampling, image by image, row-major).

    base (R, 9, 2) float: y, x of each tap without offset; limit (R, 1, 2) float: height, width of the map read;
    width (R, 1) int64: row length of that map; start (R, 1) int64: its first row in the flat (B * V, C) features.
    """

    base: Tensor
    limit: Tensor
    width: Tensor
    start: Tensor


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # cached constants must be usable in training, whoever asked for them first
def sampling_plan(
    samplings: tuple[Sampling, ...],
    shapes: tuple[tuple[int, int], ...],
    batch: int,
    device: torch.device,
    dtype: torch.dtype,
) -> SamplingPlan:
    """The plan for reading levels of the given shapes, of `batch` images, in the order of `samplings`."""
    sizes = [height * width for height, width in shapes]
    positions = sum(sizes)
    tap_y, tap_x = torch.meshgrid(torch.arange(3), torch.arange(3), indexing="ij")
    taps = torch.stack([tap_y, tap_x], dim=-1).view(1, TAPS, 2) - 1  # (1, 9, 2), row-major
    base, limit, width, start = [], [], [], []
    for sampling in samplings:
        rows, columns = torch.meshgrid(*(torch.arange(side) for side in sampling.shape), indexing="ij")
        centres = torch.stack([rows, columns], dim=-1).view(-1, 1, 2) * sampling.stride  # (P, 1, 2)
        count = len(centres)
        base.append((centres + taps).repeat(batch, 1, 1))  # (B * P, 9, 2)
        limit.append(torch.tensor(shapes[sampling.source]).expand(batch * count, 1, 2))
        width.append(torch.full((batch * count, 1), shapes[sampling.source][1]))
        first = torch.arange(batch) * positions + sum(sizes[: sampling.source])  # (B,)
        start.append(first.repeat_interleave(count)[:, None])  # (B * P, 1)
    return SamplingPlan(
        torch.cat(base).to(device, dtype),
        torch.cat(limit).to(device, dtype),
        torch.cat(width).to(device),
        torch.cat(start).to(device),
    )


def corners(offsets: Tensor, modulation: Tensor, plan: SamplingPlan) -> tuple[Tensor, Tensor]:
    """offsets (R, 9, 2) as (dy, dx), modulation (R, 9) -> what to gather: index (R * 9, 4) int64, weights (R * 9, 4).

    Bilinear; each corner outside its map weighs zero; the modulation is in the weights. Differentiable in both.
    """
    point = plan.base + offsets  # (R, 9, 2)
    # far outside every corner is zero anyway; keep the integer arithmetic below in range
    point = torch.minimum(point.clamp(min=-2.0), plan.limit + 1)
    corner = point.detach().floor().nan_to_num(0.0)  # a NaN stays in the weights, so in the loss, never in an index
    fraction = point - corner  # (R, 9, 2)
    near = (1 - fraction) * ((corner >= 0) & (corner < plan.limit))  # (R, 9, 2), weights of row y and column x
    far = fraction * ((corner >= -1) & (corner < plan.limit - 1))  # of row y + 1 and column x + 1
    vertical = torch.stack([near[..., 0], far[..., 0]], dim=-1) * modulation[..., None]  # (R, 9, 2)
    horizontal = torch.stack([near[..., 1], far[..., 1]], dim=-1)  # (R, 9, 2)
    weights = (vertical[..., :, None] * horizontal[..., None, :]).reshape(-1, 4)  # (R * 9, 4)

    top = torch.minimum(corner.clamp(min=0), plan.limit - 1).long()  # (R, 9, 2)
    bottom = torch.minimum((corner + 1).clamp(min=0), plan.limit - 1).long()
    rows = torch.stack([top[..., 0], bottom[..., 0]], dim=-1) * plan.width[..., None] + plan.start[..., None]
    columns = torch.stack([top[..., 1], bottom[..., 1]], dim=-1)  # (R, 9, 2)
    return (rows[..., :, None] + columns[..., None, :]).reshape(-1, 4), weights  # (R * 9, 4)


def gather(features: Tensor, index: Tensor, weights: Tensor) -> Tensor:
    """features (B * V, C), index and weights (P * 9, 4) -> columns (P, 9 * C), taps outermost."""
    gathered = F.embedding_bag(index, features, mode="sum", per_sample_weights=weights)  # (P * 9, C)
    return gathered.view(-1, TAPS * features.shape[1])  # (P, 9 * C)
