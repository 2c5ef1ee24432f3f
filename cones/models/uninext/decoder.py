"""Queries read the image and refine their boxes, layer by layer (docs/spec/uninext.md 9)."""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from cones.models.layers.box_head import MLP
from cones.models.layers.deformable_attention import DeformableAttention
from cones.models.layers.sine_codes import box_code
from cones.models.layers.token_levels import Levels
from cones.models.uninext.geometry import inverse_sigmoid
from cones.runtime.devices import full_precision


@dataclass
class LayerOutput:
    """What one decoder layer says of its queries, denoising ones first.

    queries    (B, Q, C)
    reference  (B, Q, 4) cx, cy, w, h in shares of the image: the boxes that went into the layer
    boxes      (B, Q, 4) those that came out; their gradient also reaches the layer before ("look forward twice")
    logits     (B, Q, L) of every word
    quality    (B, Q) logit of the IoU that the box reaches
    """

    queries: Tensor
    reference: Tensor
    boxes: Tensor
    logits: Tensor
    quality: Tensor

    def __getitem__(self, queries: slice) -> "LayerOutput":
        """The same of some of the queries."""
        return LayerOutput(**{name: value[:, queries] for name, value in vars(self).items()})


class QueryHeads(NamedTuple):
    """The heads of every layer, in order; each list may be longer than there are layers."""

    words: nn.ModuleList
    boxes: nn.ModuleList
    quality: nn.ModuleList


class DecoderLayer(nn.Module):
    """Self-attention, norm2; image attention, norm1; feed-forward, norm3 (docs/spec/uninext.md 16.15)."""

    def __init__(self, *, attention: DeformableAttention, width: int, heads: int, inner: int):
        super().__init__()
        self.cross_attn = attention
        self.norm1 = nn.LayerNorm(width)
        self.self_attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.norm2 = nn.LayerNorm(width)
        self.linear1 = nn.Linear(width, inner)
        self.linear2 = nn.Linear(inner, width)
        self.norm3 = nn.LayerNorm(width)

    def forward(
        self,
        queries: Tensor,
        positions: Tensor,
        reference: Tensor,
        memory: Tensor,
        levels: Levels,
        padding: Tensor | None,
        hidden_pairs: Tensor | None,
    ) -> Tensor:
        """queries, positions (B, Q, C), reference (B, Q, levels, 4), memory (B, N, C) -> (B, Q, C).

        hidden_pairs (Q, Q) bool, True where the row's query may not attend to the column's; None: all may.
        """
        placed = queries + positions
        attended, _ = self.self_attn(placed, placed, queries, attn_mask=hidden_pairs, need_weights=False)
        queries = self.norm2(queries + attended)
        read = self.cross_attn(queries + positions, reference, memory, levels.shapes, padding)
        queries = self.norm1(queries + read)
        return self.norm3(queries + self.linear2(F.relu(self.linear1(queries))))


class Decoder(nn.Module):
    """`layers` and `ref_point_head`, the code of a box at the width of a query."""

    def __init__(self, *, layers: list[DecoderLayer], width: int):
        super().__init__()
        self.width = width
        self.layers = nn.ModuleList(layers)
        self.ref_point_head = MLP(2 * width, width, width)

    def forward(
        self,
        queries: Tensor,
        reference: Tensor,
        memory: Tensor,
        text: Tensor,
        levels: Levels,
        hidden_pairs: Tensor | None,
        heads: QueryHeads,
    ) -> list[LayerOutput]:
        """queries (B, Q, C), reference (B, Q, 4) in shares of the image, memory (B, N, C), text (B, L, D).

        The first layer's reference keeps its gradient; later layers start from a detached one.
        """
        outputs, padding = [], levels.padding_if_any
        scale = levels.valid_ratios.repeat(1, 1, 2)[:, None]  # (B, 1, levels, 4)
        start = reference
        for layer, words, boxes, quality in zip(self.layers, *heads):
            placed = start[:, :, None] * scale  # (B, Q, levels, 4)
            positions = self.ref_point_head(box_code(placed[:, :, 0], self.width).to(queries.dtype))
            queries = layer(queries, positions, placed, memory, levels, padding, hidden_pairs)
            change = full_precision(boxes(queries))  # (B, Q, 4)
            refined = (change + inverse_sigmoid(reference)).sigmoid()
            outputs.append(LayerOutput(queries, reference, refined, words(queries, text), quality(queries).squeeze(-1)))
            reference = (change + inverse_sigmoid(start)).sigmoid()
            start = reference.detach()
        return outputs
