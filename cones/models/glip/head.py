"""The dynamic head: (fusion, text layer, DyConv) blocks, then logits, boxes, centreness (docs/spec/glip.md 6, 7)."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cones.models.glip.dyconv import DyConv
from cones.models.layers.alignment import token_logits
from cones.models.layers.fusion import VLFuse
from cones.models.text_encoder import BertLayer

Shapes = tuple[tuple[int, int], ...]


@dataclass
class HeadOutputs:
    """logits (B, V, L) of every anchor for every text position, deltas (B, V, 4), centerness (B, V) logits.

    visual (B, V, C) and text (B, L, D) are what the tower made of image and language: the logits compare them.
    """

    logits: Tensor
    deltas: Tensor
    centerness: Tensor
    visual: Tensor
    text: Tensor


class Scale(nn.Module):
    """One learnable factor; the box regression of each level has one."""

    def __init__(self, start: float = 1.0):
        super().__init__()
        self.scale = nn.Parameter(torch.full((1,), start))


class DyHead(nn.Module):
    """`dyhead_tower` is a flat sequence: with deep fusion VLFuse, BertLayer, DyConv per block, without it DyConv only.

    With deep fusion anchors are scored against the fused text of the last block, without it against the masked output
    of the text encoder.
    """

    def __init__(
        self,
        *,
        tower: list[nn.Module],
        visual: int,
        text: int,
        levels: int,
        box_scale: float = 1.0,
        log_scale: float = 0.0,
    ):
        super().__init__()
        self.dyhead_tower = nn.ModuleList(tower)
        self.bbox_pred = nn.Conv2d(visual, 4, 1)
        self.centerness = nn.Conv2d(visual, 1, 1)
        self.dot_product_projection_text = nn.Linear(text, visual)
        self.log_scale = nn.Parameter(torch.full((1,), log_scale))
        self.bias_lang = nn.Parameter(torch.zeros(text))
        self.bias0 = nn.Parameter(torch.full((1,), -math.log(99)))
        self.scales = nn.ModuleList(Scale(box_scale) for _ in range(levels))
        for projection in (self.bbox_pred, self.centerness):
            nn.init.normal_(projection.weight, std=0.01)
            nn.init.zeros_(projection.bias)

    def forward(self, visual: Tensor, shapes: Shapes, hidden: Tensor, mask: Tensor) -> HeadOutputs:
        """visual (B, V, C) of levels of the given shapes, hidden (B, L, D), mask (B, L) bool -> `HeadOutputs`."""
        text = hidden * mask[..., None]  # "embedded"
        key_mask = None if bool(mask.all()) else mask
        for layer in self.dyhead_tower:
            if isinstance(layer, VLFuse):
                visual, hidden = layer(visual, hidden, key_mask)
            elif isinstance(layer, BertLayer):
                text = hidden = layer(hidden, key_mask)
            elif isinstance(layer, DyConv):
                visual = layer(visual, shapes)
            else:
                raise TypeError(f"a tower holds VLFuse, BertLayer and DyConv, not {type(layer).__name__}")
        return HeadOutputs(
            logits=token_logits(self, visual, text),
            deltas=self.box_deltas(visual, shapes),
            centerness=F.linear(visual, self.centerness.weight.flatten(1), self.centerness.bias).squeeze(-1),
            visual=visual,
            text=text,
        )

    def box_deltas(self, visual: Tensor, shapes: Shapes) -> Tensor:
        """visual (B, V, C) -> (B, V, 4), each level times its own scale."""
        deltas = F.linear(visual, self.bbox_pred.weight.flatten(1), self.bbox_pred.bias)
        factors = torch.cat(
            [level.scale.expand(height * width) for level, (height, width) in zip(self.scales, shapes)]
        )  # (V,)
        return deltas * factors[:, None]
