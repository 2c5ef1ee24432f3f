"""Queries read text and image and refine their boxes, layer by layer (docs/spec/grounding_dino.md, 1.5).

After IDEA-Research/GroundingDINO, models/GroundingDINO/transformer.py and groundingdino.py.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cones.models.grounding_dino.attention import Attention
from cones.models.layers.box_head import MLP
from cones.models.layers.deformable_attention import DeformableAttention
from cones.models.layers.sine_codes import box_code
from cones.models.layers.token_levels import Levels
from cones.runtime.devices import full_precision

LOGIT_EPS = 1e-5  # shares are clamped to [eps, 1 - eps] before their logit is taken


@dataclass
class QueryOutput:
    """What one decoder layer, or the selection, says of its queries.

    logits   (B, Q, L) of every row of the text, whatever its mask says
    boxes    (B, Q, 4) cx, cy, w, h in shares of the unpadded image
    queries  (B, Q, C) what the logits compare with the text; None for the selection
    """

    logits: Tensor
    boxes: Tensor
    queries: Tensor | None = None


class DecoderLayer(nn.Module):
    """Queries attend to one another, to the text, to places of the image; feed-forward. Each has its norm."""

    def __init__(self, *, attention: DeformableAttention, width: int, heads: int, inner: int):
        super().__init__()
        self.self_attn = Attention(width=width, heads=heads)
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.encoder_attn_text = Attention(width=width, heads=heads)
        self.encoder_attn_text_layer_norm = nn.LayerNorm(width)
        self.encoder_attn = attention
        self.encoder_attn_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(
        self,
        queries: Tensor,
        codes: Tensor,
        reference: Tensor,
        memory: Tensor,
        levels: Levels,
        text: Tensor,
        mask: Tensor | None,
    ) -> Tensor:
        """queries, codes (B, Q, C), reference (B, Q, levels, 4), memory (B, N, C), text (B, L, C) -> (B, Q, C).

        mask (B, L) bool, the rows of the text that are there; None: all.
        """
        placed = queries + codes
        queries = self.self_attn_layer_norm(queries + self.self_attn(placed, placed, queries))
        seen = None if mask is None else mask[:, None, None]  # (B, 1, 1, L)
        queries = self.encoder_attn_text_layer_norm(queries + self.encoder_attn_text(queries + codes, text, text, seen))
        read = self.encoder_attn(queries + codes, reference, memory, levels.shapes, levels.padding_if_any)
        queries = self.encoder_attn_layer_norm(queries + read)
        return self.final_layer_norm(queries + self.fc2(F.relu(self.fc1(queries))))


class Decoder(nn.Module):
    """`layers`, the norm before the heads, and `reference_points_head`: the code of a box at the width of a query."""

    def __init__(self, *, layers: list[DecoderLayer], width: int):
        super().__init__()
        self.width = width
        self.layer_norm = nn.LayerNorm(width)
        self.layers = nn.ModuleList(layers)
        self.reference_points_head = MLP(2 * width, width, width)

    def forward(
        self,
        queries: Tensor,
        reference: Tensor,
        memory: Tensor,
        levels: Levels,
        text: Tensor,
        mask: Tensor | None,
        *,
        class_heads: list[nn.Module],
        box_heads: list[nn.Module],
    ) -> list[QueryOutput]:
        """queries (B, Q, C), reference (B, Q, 4) without gradient, one class and one box head for each layer.

        The next layer's reference is refined from the queries as they are, a layer's own boxes from normed queries.
        """
        outputs = []
        scale = levels.valid_ratios.repeat(1, 1, 2)[:, None]  # (B, 1, levels, 4)
        for layer, class_head, box_head in zip(self.layers, class_heads, box_heads, strict=True):
            placed = reference[:, :, None] * scale  # (B, Q, levels, 4)
            codes = self.reference_points_head(box_code(placed[:, :, 0], self.width).to(queries.dtype))
            queries = layer(queries, codes, placed, memory, levels, text, mask)
            before, normed = torch.special.logit(reference, eps=LOGIT_EPS), self.layer_norm(queries)
            boxes = (full_precision(box_head(normed)) + before).sigmoid()
            outputs.append(QueryOutput(class_head(normed, text), boxes, normed))
            with torch.no_grad():
                reference = (full_precision(box_head(queries)) + before).sigmoid()
        return outputs
