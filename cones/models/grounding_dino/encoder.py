"""Image and text, layer by layer: fused, then each within itself (docs/spec/grounding_dino.md, 1.4).

After IDEA-Research/GroundingDINO, models/GroundingDINO/transformer.py and fuse_modules.py.
"""

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from cones.models.grounding_dino.attention import Attention
from cones.models.grounding_dino.geometry import text_codes
from cones.models.language import LanguageFeatures, phrase_pairs, phrase_places
from cones.models.layers.deformable_attention import DeformableAttention
from cones.models.layers.fusion import VLFuse
from cones.models.layers.token_levels import Levels


@dataclass
class Rows:
    """How the rows of a text belong together.

    mask   (B, L) bool, the rows that are there, or None if all are
    pairs  (B, L, L) bool, True where a row may look at another: within one phrase
    codes  (B, L, C) sine codes of the places in the phrases
    """

    mask: Tensor | None
    pairs: Tensor
    codes: Tensor

    @classmethod
    def of(cls, language: LanguageFeatures, width: int) -> "Rows":
        mask = None if bool(language.mask.all()) else language.mask
        codes = text_codes(phrase_places(language.phrases), width)
        return cls(mask, phrase_pairs(language.phrases), codes)


class TextEnhancer(nn.Module):
    """Rows of one phrase attend to one another, then feed-forward; each is followed by its norm."""

    def __init__(self, *, width: int, heads: int, inner: int):
        super().__init__()
        self.self_attn = Attention(width=width, heads=heads)
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)
        self.layer_norm_before = nn.LayerNorm(width)
        self.layer_norm_after = nn.LayerNorm(width)

    def forward(self, text: Tensor, rows: Rows) -> Tensor:
        """text (B, L, C) -> (B, L, C)."""
        placed = text + rows.codes
        text = self.layer_norm_before(text + self.self_attn(placed, placed, text, rows.pairs[:, None]))
        return self.layer_norm_after(text + self.fc2(F.relu(self.fc1(text))))


class DeformableLayer(nn.Module):
    """Image tokens read one another at a few places of every level, then feed-forward; each is followed by its norm."""

    def __init__(self, *, attention: DeformableAttention, width: int, inner: int):
        super().__init__()
        self.self_attn = attention
        self.self_attn_layer_norm = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, inner)
        self.fc2 = nn.Linear(inner, width)
        self.final_layer_norm = nn.LayerNorm(width)

    def forward(self, tokens: Tensor, codes: Tensor, reference: Tensor, levels: Levels) -> Tensor:
        """tokens, codes (B, N, C), reference (B, N, levels, 2) -> (B, N, C)."""
        read = self.self_attn(tokens + codes, reference, tokens, levels.shapes, levels.padding_if_any)
        tokens = self.self_attn_layer_norm(tokens + read)
        return self.final_layer_norm(tokens + self.fc2(F.relu(self.fc1(tokens))))


class EncoderLayer(nn.Module):
    """Fusion, text enhancer, deformable layer, in this order."""

    def __init__(self, *, fusion: VLFuse, text: TextEnhancer, image: DeformableLayer):
        super().__init__()
        self.fusion_layer = fusion
        self.text_enhancer_layer = text
        self.deformable_layer = image


class Encoder(nn.Module):
    def __init__(self, *, layers: list[EncoderLayer]):
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, tokens: Tensor, codes: Tensor, levels: Levels, text: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """tokens, codes (B, N, C), text (B, L, C) -> memory (B, N, C), fused text (B, L, C).

        Padded rows are not heard by the image, padded tokens not by the text.
        """
        reference = levels.reference_points()  # (B, N, levels, 2)
        valid = None if levels.padding_if_any is None else ~levels.padding_if_any  # (B, N)
        for layer in self.layers:
            tokens, text = layer.fusion_layer(tokens, text, rows.mask, valid)
            text = layer.text_enhancer_layer(text, rows)
            tokens = layer.deformable_layer(tokens, codes, reference, levels)
        return tokens, text
