"""CLIP's vision transformer (openai/CLIP, clip/model.py: VisionTransformer)."""

import torch
from torch import Tensor, nn

from cones.models.clip.transformer import Transformer
from cones.models.dual_encoder import BlockTokens, ImageFeatures
from cones.runtime.errors import ConesError


class VisionTransformer(nn.Module):
    """Pixels -> rows (the class token, then P patches row by row) -> features of width d.

    side, patch  of a picture and of a patch, in pixels: P = (side / patch)^2
    width        D, of a row
    """

    def __init__(self, *, side: int, patch: int, width: int, layers: int, heads: int, output: int):
        super().__init__()
        self.width, self.patch, self.patches = width, patch, (side // patch) ** 2
        self.conv1 = nn.Conv2d(3, width, kernel_size=patch, stride=patch, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty(1 + self.patches, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = Transformer(width=width, layers=layers, heads=heads, causal=False)
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.empty(width, output))
        for parameter in (self.class_embedding, self.positional_embedding, self.proj):
            nn.init.normal_(parameter, std=width**-0.5)

    @property
    def blocks(self) -> int:
        return len(self.transformer.resblocks)

    def forward(self, pixels: Tensor, *, patches: bool = False, tokens: BlockTokens | None = None) -> ImageFeatures:
        return self.encode(self.embed(pixels), patches=patches, tokens=tokens)

    def regions(self, pixels: Tensor) -> Tensor:
        """(B, 1 + P, d), as `DualEncoder.encode_regions` says; positions are part of every row."""
        hidden = self.ln_pre(self.embed(pixels))
        *before, last = self.transformer.resblocks
        for block in before:
            hidden = block(hidden)
        rows = torch.cat([last(hidden)[:, :1], last.value_path(hidden)[0][:, 1:]], dim=1)
        return self.ln_post(rows) @ self.proj

    def embed(self, pixels: Tensor) -> Tensor:
        """(B, 3, side, side) -> rows with their positions (B, 1 + P, D), before the first norm."""
        rows = self.conv1(pixels).flatten(2).transpose(1, 2)  # (B, P, D)
        if rows.shape[1] != self.patches:
            raise ConesError(
                "pictures of another size than the image encoder reads",
                expected=f"{self.patches} patches",
                found=f"{rows.shape[1]}, of {tuple(pixels.shape[-2:])} pixels",
                next_step="load the pictures in the `picture_format` of the model",
            )
        first = self.class_embedding.expand(len(rows), 1, -1)  # (B, 1, D)
        return torch.cat([first, rows], dim=1) + self.positional_embedding

    def encode(self, rows: Tensor, *, patches: bool = False, tokens: BlockTokens | None = None) -> ImageFeatures:
        """Rows of `embed` (B, 1 + P, D), or some of them if the class token is the first -> their features.

        `patches` sends every row of a patch through the last norm and projection, as the class token's. `tokens` stand
        behind all rows and are no patches.
        """
        own = rows.shape[1]
        before_block = None
        if tokens is not None:
            tokens.refuse_unknown_blocks(self.blocks)
            if tokens.before_first_norm:
                rows = tokens.behind(0, rows, own)
            before_block = lambda block, hidden: (  # noqa: E731
                hidden if block == 0 and tokens.before_first_norm else tokens.behind(block, hidden, own)
            )
        hidden = self.transformer(self.ln_pre(rows), before_block)
        features = self.ln_post(hidden[:, : own if patches else 1]) @ self.proj  # (B, 1 + P or 1, d)
        return ImageFeatures(features[:, 0], features[:, 1:] if patches else None)
