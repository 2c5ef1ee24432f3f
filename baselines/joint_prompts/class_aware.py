"""Image tokens that are made of the classes a picture probably shows: CAVPT of DPT (arXiv 2208.08340)."""

import torch
from torch import Tensor, nn

from cones.methods.drawn_layers import linear

INNER = 32  # width of queries and keys
LEARNED_ROWS = 10


class ClassAwareTokens(nn.Module):
    """Rows of pictures (B, L, D) and texts of the likely classes (B, k, d) -> k tokens for each picture."""

    def __init__(self, text_width: int, width: int, classes: int, *, std: float, generator: torch.Generator):
        super().__init__()
        self.query_of = linear(text_width, width, generator=generator)
        self.query, self.key = (linear(width, INNER, bias=False, generator=generator) for _ in range(2))
        self.value = linear(width, width, bias=False, generator=generator)
        self.read_norm, self.token_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.read = linear(width, classes, bias=False, generator=generator)
        self.rows = nn.Parameter(std * torch.randn(LEARNED_ROWS, width, generator=generator))

    def forward(self, rows: Tensor, texts: Tensor) -> tuple[Tensor, Tensor]:
        """(tokens (B, k, D), class logits of each query (B, k, K))."""
        queries = self.query_of(texts)  # (B, k, D)
        seen = torch.cat([rows.detach(), self.rows.expand(len(rows), -1, -1)], dim=1)  # (B, L + 10, D)
        weights = self.weights(queries, seen)
        found = self.value(weights @ seen)  # (B, k, D)
        return self.token_norm(found + queries), self.read(self.read_norm(found))

    def weights(self, queries: Tensor, seen: Tensor) -> Tensor:
        """(B, k, L + 10)."""
        return (self.query(queries) @ self.key(seen).transpose(1, 2) / INNER**0.5).softmax(-1)
