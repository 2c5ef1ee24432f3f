"""Multi-scale deformable attention: each query reads a few places of every level (docs/spec/uninext.md 7)."""

import math

import torch
from torch import Tensor, nn

from cones.models.layers.token_levels import Shapes, level_sizes
from cones.models.layers.weighted_samples import read_grids, read_rows
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
            places = reference + offsets / level_sizes(shapes, offsets.device)[:, None]
        else:
            places = reference[..., :2] + offsets / self.points * reference[..., 2:] * 0.5
        return self.output_proj(sample(value, shapes, places, weights).to(query.dtype))


def sample(value: Tensor, shapes: Shapes, places: Tensor, weights: Tensor) -> Tensor:
    """Weighted sums of bilinear samples, in full precision; shapes as in `read_grids`."""
    read = read_rows if value.device.type == "cpu" else read_grids
    with torch.autocast(value.device.type, enabled=False):
        return read(full_precision(value), shapes, places, weights)
