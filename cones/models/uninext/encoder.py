"""Image tokens and words: fused once, then the tokens attend to one another (docs/spec/uninext.md 6 and 7)."""

from torch import Tensor, nn
from torch.nn import functional as F

from cones.models.layers.deformable_attention import DeformableAttention
from cones.models.layers.fusion import VLFuse
from cones.models.layers.token_levels import Levels


class EncoderLayer(nn.Module):
    """Deformable self-attention and feed-forward, each followed by its norm."""

    def __init__(self, *, attention: DeformableAttention, width: int, inner: int):
        super().__init__()
        self.self_attn = attention
        self.norm1 = nn.LayerNorm(width)
        self.linear1 = nn.Linear(width, inner)
        self.linear2 = nn.Linear(inner, width)
        self.norm2 = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, positions: Tensor, reference: Tensor, levels: Levels, padding: Tensor | None):
        """tokens, positions (B, N, C), reference (B, N, levels, 2), padding (B, N) bool or None -> (B, N, C)."""
        read = self.self_attn(tokens + positions, reference, tokens, levels.shapes, padding)
        tokens = self.norm1(tokens + read)
        return self.norm2(tokens + self.linear2(F.relu(self.linear1(tokens))))


class Encoder(nn.Module):
    """`vl_layers` holds the one fusion, before the first of `layers`; later layers do not see the text."""

    def __init__(self, *, fusion: VLFuse, layers: list[EncoderLayer]):
        super().__init__()
        self.vl_layers = nn.ModuleList([fusion])
        self.layers = nn.ModuleList(layers)

    def forward(
        self,
        tokens: Tensor,
        positions: Tensor,
        levels: Levels,
        padding: Tensor | None,
        hidden: Tensor,
        mask: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        """tokens, positions (B, N, C), hidden (B, L, D), mask (B, L) bool or None -> memory (B, N, C), fused text.

        Padded tokens take part in the fusion (docs/spec/uninext.md 16.2): the text of a padded batch differs a little.
        """
        tokens, text = self.vl_layers[0](tokens, hidden, mask)
        reference = levels.reference_points()
        for layer in self.layers:
            tokens = layer(tokens, positions, reference, levels, padding)
        return tokens, text
