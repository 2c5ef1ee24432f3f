"""The transformer that both encoders of CLIP are made of: pre-norm blocks with QuickGELU (openai/CLIP, clip/model.py).

Parameter names are those of OpenAI's released weights, so that these load as they are.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

BeforeBlock = Callable[[int, Tensor], Tensor]
"""(number of the block, its input (B, L, w)) -> the input it gets instead, for tokens that enter block by block."""


def quick_gelu(x: Tensor) -> Tensor:
    """x sigmoid(1.702 x): what the released models were trained with, in place of GELU."""
    return x * torch.sigmoid(1.702 * x)


class Projections(nn.Module):
    """Query, key and value of an attention at once. It has no parameters: those that it is given are the attention's.

    A module of its own, so that a method may add to its output (`cones.models.additions`): low-rank weights of q, k, v
    receive (output (B, L, 3w), input (B, L, w), weight, bias).
    """

    def forward(self, hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        """hidden (B, L, w), weight (3w, w), bias (3w,) -> (B, L, 3w): q, k and v in this order."""
        return F.linear(hidden, weight, bias)


class Attention(nn.Module):
    """Multi-head self-attention; scores are divided by the root of a head's width. `causal`: no row sees later ones."""

    def __init__(self, *, width: int, heads: int, causal: bool):
        super().__init__()
        self.heads, self.causal = heads, causal
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * width))
        self.projections = Projections()
        self.out_proj = nn.Linear(width, width)

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, L, w) -> (B, L, w)."""
        batch, length, width = hidden.shape
        joined = self.projections(hidden, self.in_proj_weight, self.in_proj_bias)  # (B, L, 3w)
        split = joined.view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        query, key, value = split  # (B, heads, L, w / heads) each
        context = F.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        return self.out_proj(context.transpose(1, 2).reshape(batch, length, width))

    def values_and_keys(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Each row's own value, without attention, and its key: (B, L, w) -> (B, L, w) each, both behind the output
        projection."""
        joined = self.projections(hidden, self.in_proj_weight, self.in_proj_bias)
        _, keys, values = joined.chunk(3, dim=-1)
        return self.out_proj(values), self.out_proj(keys)


class FeedForward(nn.Module):
    """Four times as wide inside."""

    def __init__(self, *, width: int):
        super().__init__()
        self.c_fc = nn.Linear(width, 4 * width)
        self.c_proj = nn.Linear(4 * width, width)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.c_proj(quick_gelu(self.c_fc(hidden)))


class Block(nn.Module):
    """x + attention(norm(x)), then x + feed-forward(norm(x))."""

    def __init__(self, *, width: int, heads: int, causal: bool):
        super().__init__()
        self.attn = Attention(width=width, heads=heads, causal=causal)
        self.ln_1 = nn.LayerNorm(width)
        self.mlp = FeedForward(width=width)
        self.ln_2 = nn.LayerNorm(width)

    def forward(self, hidden: Tensor) -> Tensor:
        hidden = hidden + self.attn(self.ln_1(hidden))
        return hidden + self.mlp(self.ln_2(hidden))

    def value_path(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """The block's output (B, L, w) when every row attends to itself alone, and the keys (B, L, w) of its rows."""
        values, keys = self.attn.values_and_keys(self.ln_1(hidden))
        hidden = hidden + values
        return hidden + self.mlp(self.ln_2(hidden)), keys


class Transformer(nn.Module):
    """Blocks one after the other; `causal`: those of a text, in which no row sees later ones."""

    def __init__(self, *, width: int, layers: int, heads: int, causal: bool):
        super().__init__()
        self.width = width
        self.resblocks = nn.ModuleList(Block(width=width, heads=heads, causal=causal) for _ in range(layers))
        start_blocks(self)

    def forward(self, hidden: Tensor, before_block: BeforeBlock | None = None) -> Tensor:
        """(B, L, w) -> (B, L', w); L' differs from L where `before_block` adds rows."""
        for number, block in enumerate(self.resblocks):
            hidden = block(hidden if before_block is None else before_block(number, hidden))
        return hidden


def start_blocks(transformer: Transformer) -> None:
    """OpenAI's start: the spread of weights goes by width, and of those that end in a residual also by depth.

    OpenAI's code starts the text encoder so and leaves the blocks of the image encoder at PyTorch's defaults; here both
    start so. Biases are zero.
    """
    spread = transformer.width**-0.5
    residual = spread * (2 * len(transformer.resblocks)) ** -0.5
    for block in transformer.resblocks:
        nn.init.normal_(block.attn.in_proj_weight, std=spread)
        nn.init.normal_(block.attn.out_proj.weight, std=residual)
        nn.init.normal_(block.mlp.c_fc.weight, std=spread * 2**-0.5)
        nn.init.normal_(block.mlp.c_proj.weight, std=residual)
        nn.init.zeros_(block.attn.in_proj_bias)
        for linear in (block.attn.out_proj, block.mlp.c_fc, block.mlp.c_proj):
            nn.init.zeros_(linear.bias)
