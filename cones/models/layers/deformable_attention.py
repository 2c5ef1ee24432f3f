"""Multi-scale deformable attention: each query reads a few places of every level (docs/spec/uninext.md 7)."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cones.models.layers.token_levels import Shapes
from cones.runtime.devices import full_precision


class DeformableAttention(nn.Module):
    """heads x levels x points places per query, around a reference point or inside a reference box."""

    def __init__(self, *, width: int, heads: int, levels: int, points: int):
        super().__init__()
        self.heads, self.levels, self.points = heads, levels, points
        self.sampling_offsets = nn.Linear(width, heads * levels * points * 2)
        self.attention_weights = nn.Linear(width, heads * levels * points)
        self.value_proj = nn.Linear(width, width)
        self.output_proj = nn.Linear(width, width)
        self.start()

    def start(self) -> None:
        """At first each head looks in a direction of its own, its points one, two, three … cells away."""
        nn.init.zeros_(self.sampling_offsets.weight)
        angle = torch.arange(self.heads, dtype=torch.float32) * (2 * math.pi / self.heads)
        direction = torch.stack([angle.cos(), angle.sin()], dim=-1)  # (heads, 2)
        direction = direction / direction.abs().amax(dim=-1, keepdim=True)
        steps = torch.arange(1, self.points + 1, dtype=torch.float32)
        offsets = direction[:, None, None] * steps[:, None]  # (heads, 1, points, 2)
        with torch.no_grad():
            self.sampling_offsets.bias.copy_(offsets.expand(-1, self.levels, -1, -1).flatten())
        nn.init.zeros_(self.attention_weights.weight)
        nn.init.zeros_(self.attention_weights.bias)
        for projection in (self.value_proj, self.output_proj):
            nn.init.xavier_uniform_(projection.weight)
            nn.init.zeros_(projection.bias)

    def forward(
        self, query: Tensor, reference: Tensor, value: Tensor, shapes: Shapes, padding: Tensor | None
    ) -> Tensor:
        """query (B, Q, C), value (B, N, C) of levels of the given shapes -> (B, Q, C).

        reference  (B, Q, levels, 2) points x, y, or (B, Q, levels, 4) boxes cx, cy, w, h, in shares of the padded level
        padding    (B, N) bool, True where the value counts as zero; None: nowhere
        """
        value = self.value_proj(value)
        if padding is not None:
            value = value.masked_fill(padding[..., None], 0.0)
        offsets = full_precision(self.sampling_offsets(query))
        offsets = offsets.unflatten(-1, (self.heads, self.levels, self.points, 2))  # (B, Q, heads, levels, points, 2)
        weights = full_precision(self.attention_weights(query)).unflatten(-1, (self.heads, -1)).softmax(dim=-1)
        reference = reference[:, :, None, :, None]  # (B, Q, 1, levels, 1, 2 or 4)
        if reference.shape[-1] == 2:
            sizes = offsets.new_tensor([(width, height) for height, width in shapes])  # (levels, 2)
            places = reference + offsets / sizes[:, None]
        else:
            places = reference[..., :2] + offsets / self.points * reference[..., 2:] * 0.5
        return self.output_proj(sample(value, shapes, places, weights).to(query.dtype))


def sample(value: Tensor, shapes: Shapes, places: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of bilinear samples, zero outside, in full precision.

    value (B, N, C), places (B, Q, heads, levels, points, 2) x, y in [0, 1], weights (B, Q, heads, levels * points)
    -> (B, Q, C); head h reads the h-th part of the channels.
    """
    batch, queries, heads = places.shape[:3]
    with torch.autocast(value.device.type, enabled=False):
        maps = full_precision(value).unflatten(-1, (heads, -1)).permute(0, 2, 3, 1).flatten(0, 1)  # (B * heads, d, N)
        grids = (2 * places - 1).transpose(1, 2).flatten(0, 1)  # (B * heads, Q, levels, points, 2)
        sampled = [
            F.grid_sample(level.unflatten(-1, shape), grids[:, :, index], align_corners=False)
            for index, (level, shape) in enumerate(zip(maps.split([h * w for h, w in shapes], dim=-1), shapes))
        ]  # (B * heads, d, Q, points) each
        share = weights.transpose(1, 2).reshape(batch * heads, 1, queries, -1)  # (B * heads, 1, Q, levels * points)
        read = (torch.cat(sampled, dim=-1) * share).sum(dim=-1)  # (B * heads, d, Q)
        return read.view(batch, -1, queries).transpose(1, 2)  # (B, Q, C)
