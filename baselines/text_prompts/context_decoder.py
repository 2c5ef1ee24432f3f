"""DenseCLIP's context decoder: class texts look at each other, then at a picture (raoyongming/DenseCLIP 5eda47f,
segmentation/denseclip/models.py: ContextDecoder, TransformerDecoderLayer, Attention).

Names of parameters are those of the official code, by which its optimiser tells what does not decay.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

START_STD = 0.02  # of linear layers, from a normal distribution that is cut at ±2


class Attention(nn.Module):
    """Query, key and value projections have no bias; scores are divided by the root of a head's width."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(width, width, bias=False) for _ in range(3))
        self.proj, self.proj_drop = nn.Linear(width, width), nn.Dropout(dropout)

    def forward(self, asking: Tensor, asked: Tensor) -> Tensor:
        """(B, K, w) asks (B, L, w) -> (B, K, w)."""

        def heads(rows: Tensor) -> Tensor:
            return rows.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, rows, w / heads)

        query, key, value = heads(self.q_proj(asking)), heads(self.k_proj(asked)), heads(self.v_proj(asked))
        found = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        return self.proj_drop(self.proj(found))


class DecoderLayer(nn.Module):
    """Pre-norm; what is asked of the picture is not normed again."""

    def __init__(self, width: int, heads: int, dropout: float):
        super().__init__()
        self.self_attn, self.cross_attn = Attention(width, heads, dropout), Attention(width, heads, dropout)
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(dropout)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * width, width)
        )

    def forward(self, texts: Tensor, memory: Tensor) -> Tensor:
        """(B, K, w) and (B, L, w) -> (B, K, w)."""
        rows = self.norm1(texts)
        texts = texts + self.self_attn(rows, rows)
        texts = texts + self.cross_attn(self.norm2(texts), memory)
        return texts + self.dropout(self.mlp(self.norm3(texts)))


class ContextDecoder(nn.Module):
    """Class texts (B, K, d) and a picture's rows (B, L, d) -> what the picture adds to each text (B, K, d)."""

    def __init__(self, features: int, *, width: int, heads: int, layers: int, dropout: float):
        super().__init__()
        self.memory_proj = nn.Sequential(nn.LayerNorm(features), nn.Linear(features, width), nn.LayerNorm(width))
        self.text_proj = nn.Sequential(nn.LayerNorm(features), nn.Linear(features, width))
        self.decoder = nn.ModuleList(DecoderLayer(width, heads, dropout) for _ in range(layers))
        self.out_proj = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, features))

    def forward(self, texts: Tensor, picture: Tensor) -> Tensor:
        memory, rows = self.memory_proj(picture), self.text_proj(texts)
        for layer in self.decoder:
            rows = layer(rows, memory)
        return self.out_proj(rows)

    @torch.no_grad()
    def start(self, generator: torch.Generator) -> None:
        """Matrices from the cut normal distribution, biases zero; norms are at 1 and 0 already."""
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=START_STD, generator=generator)
                if module.bias is not None:
                    module.bias.zero_()
