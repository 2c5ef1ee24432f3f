"""The layers of UPT that make the prompts of both encoders of one set of vectors (arXiv 2210.07225)."""

import torch
from torch import Tensor, nn

from cones.methods.drawn_layers import linear


class UnifiedBlock(nn.Module):
    """A pre-norm transformer block of one head and an MLP four times as wide, with x sigmoid(1.702 x) in it.

    interacting  whether tokens see each other; if not, each is a sequence of its own, whose attention is its value
    """

    def __init__(self, width: int, *, interacting: bool, generator: torch.Generator):
        super().__init__()
        self.interacting = interacting
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.projections = linear(width, 3 * width, generator=generator)
        self.out_proj = linear(width, width, generator=generator)
        self.c_fc = linear(width, 4 * width, generator=generator)
        self.c_proj = linear(4 * width, width, generator=generator)
        with torch.no_grad():  # as PyTorch starts an attention
            reach = (6 / (4 * width)) ** 0.5
            self.projections.weight.uniform_(-reach, reach, generator=generator)
            for layer in (self.projections, self.out_proj):
                layer.bias.zero_()

    def forward(self, tokens: Tensor) -> Tensor:
        """(L, m) -> (L, m)."""
        tokens = tokens + self.attention(self.ln_1(tokens))
        inner = self.c_fc(self.ln_2(tokens))
        return tokens + self.c_proj(inner * torch.sigmoid(1.702 * inner))

    def attention(self, tokens: Tensor) -> Tensor:
        rows = tokens[None] if self.interacting else tokens[:, None]  # sequences (1, L, m) or (L, 1, m)
        query, key, value = self.projections(rows).chunk(3, dim=-1)
        weights = (query @ key.transpose(1, 2) / tokens.shape[-1] ** 0.5).softmax(-1)
        return self.out_proj(weights @ value).reshape(tokens.shape)
