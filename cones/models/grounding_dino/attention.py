"""Multi-head attention with the parameter names of the published weights."""

from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Queries look at keys, `heads` times side by side, and take a mean of the values."""

    def __init__(self, *, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
        """query (B, Q, C), key and value (B, L, C) -> (B, Q, C).

        mask (B, 1, Q or 1, L) bool, True where the query may look; None: everywhere.
        """

        def split(x: Tensor) -> Tensor:
            return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, L, C / heads)

        query, key, value = split(self.query(query)), split(self.key(key)), split(self.value(value))
        read = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)  # (B, heads, Q, C / heads)
        return self.out_proj(read.transpose(1, 2).flatten(2))
