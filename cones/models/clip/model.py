"""CLIP: an image encoder and a text encoder of one space (openai/CLIP, clip/model.py: CLIP)."""

import math

import torch
from torch import Tensor, nn

from cones.models.clip.positions import positions_of, stride_of
from cones.models.clip.resnet import ModifiedResNet
from cones.models.clip.transformer import Transformer
from cones.models.clip.vit import VisionTransformer
from cones.models.dual_encoder import BlockTokens, DualEncoder, ImageFeatures, PictureFormat
from cones.models.positions import GridResize, PositionReading, Positions
from cones.runtime.errors import ConesError

START_SCALE = math.log(1 / 0.07)  # of a fresh model's `logit_scale`


class CLIP(DualEncoder):
    """Parameter names are those of OpenAI's released weights: the text encoder's stand at the top."""

    def __init__(
        self,
        *,
        visual: VisionTransformer | ModifiedResNet,
        transformer: Transformer,
        vocabulary: int,
        context_length: int,
        width: int,
        picture_format: PictureFormat,
    ):
        super().__init__()
        self.width, self.text_width, self.context_length = width, transformer.width, context_length
        self.image_width, self.image_patch, self.image_blocks = visual.width, visual.patch, visual.blocks
        self.position_stride = stride_of(visual)
        self.text_blocks = len(transformer.resblocks)
        self.picture_format = picture_format
        self.visual = visual
        self.transformer = transformer
        self.token_embedding = nn.Embedding(vocabulary, self.text_width)
        self.positional_embedding = nn.Parameter(torch.empty(context_length, self.text_width))
        self.ln_final = nn.LayerNorm(self.text_width)
        self.text_projection = nn.Parameter(torch.empty(self.text_width, width))
        self.logit_scale = nn.Parameter(torch.empty(()))
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)
        nn.init.normal_(self.text_projection, std=self.text_width**-0.5)
        nn.init.constant_(self.logit_scale, START_SCALE)

    def encode_image(
        self, pixels: Tensor, *, patches: bool = False, tokens: BlockTokens | None = None
    ) -> ImageFeatures:
        return self.visual(pixels, patches=patches, tokens=tokens)

    def encode_regions(self, pixels: Tensor, *, placed: bool) -> Tensor:
        if isinstance(self.visual, ModifiedResNet):
            return self.visual.regions(pixels, placed=placed)
        return self.visual.regions(pixels)

    def encode_positions(
        self, pixels: Tensor, *, reading: PositionReading, resize: GridResize = "bicubic"
    ) -> Positions:
        return positions_of(self.visual, pixels, reading=reading, resize=resize)

    def embed_text(self, ids: Tensor) -> Tensor:
        return self.token_embedding(ids)

    def encode_text(self, embeddings: Tensor, ends: Tensor, *, tokens: BlockTokens | None = None) -> Tensor:
        hidden = self._read(embeddings, ends, tokens)
        rows = hidden[torch.arange(len(hidden), device=hidden.device), ends]  # (K, w)
        return rows @ self.text_projection

    def encode_words(self, embeddings: Tensor, ends: Tensor) -> Tensor:
        return self._read(embeddings, ends, None) @ self.text_projection

    def _read(self, embeddings: Tensor, ends: Tensor, tokens: BlockTokens | None) -> Tensor:
        """All rows up to the last end, behind the last norm: (K, L, w)."""
        if embeddings.shape[1] > self.context_length:
            raise ConesError(
                "the text is too long for the text encoder",
                expected=f"at most {self.context_length} tokens and vectors",
                found=embeddings.shape[1],
                next_step="shorter names or templates, or fewer learned vectors",
            )
        length = int(ends.max()) + 1  # nothing behind the last end is seen by it: no row sees later ones
        hidden = embeddings[:, :length] + self.positional_embedding[:length]  # (K, L, w)
        before_block = None
        if tokens is not None:
            tokens.refuse_unknown_blocks(self.text_blocks)
            before_block = tokens.in_place
        return self.ln_final(self.transformer(hidden, before_block))
