"""The heads of a query beside that of its box: the words it stands for, the box's quality (docs/spec/uninext.md 9)."""

import math

import torch
from torch import Tensor, nn

from cones.models.layers.alignment import token_logits


class AlignmentHead(nn.Module):
    """Queries against words; at first every word of every query has a probability of about 1 %."""

    def __init__(self, *, visual: int, text: int, log_scale: float = 0.0):
        super().__init__()
        self.dot_product_projection_text = nn.Linear(text, visual)
        self.log_scale = nn.Parameter(torch.full((1,), log_scale))
        self.bias_lang = nn.Parameter(torch.zeros(text))
        self.bias0 = nn.Parameter(torch.full((1,), -math.log(99)))
        nn.init.zeros_(self.dot_product_projection_text.bias)

    def forward(self, queries: Tensor, text: Tensor) -> Tensor:
        """queries (B, Q, C), text (B, L, D) -> logits (B, Q, L)."""
        return token_logits(self, queries, text)


class ObjectHead(nn.Module):
    """Whether an image token is an object at all, whatever is said."""

    def __init__(self, *, visual: int):
        super().__init__()
        self.body = nn.Linear(visual, 1)
        nn.init.constant_(self.body.bias, -math.log(99))

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, C) -> logits (B, N)."""
        return self.body(tokens).squeeze(-1)


class Resizer(nn.Module):
    """A text vector at the width of the image side: linear, then LayerNorm."""

    def __init__(self, *, text: int, visual: int):
        super().__init__()
        self.fc = nn.Linear(text, visual)
        self.layer_norm = nn.LayerNorm(visual, eps=1e-12)

    def forward(self, x: Tensor) -> Tensor:
        return self.layer_norm(self.fc(x))
