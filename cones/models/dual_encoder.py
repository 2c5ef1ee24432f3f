"""The seam of a model with two encoders, such as CLIP: images and texts as vectors of one space, compared by cosine."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cones.models.positions import GridResize, PositionReading, Positions
from cones.runtime.devices import to_device


@dataclass(frozen=True)
class PictureFormat:
    """How pictures enter: the short side is resized to `side` (bicubic), the middle `side` x `side` is cut out."""

    side: int
    mean: tuple[float, float, float]  # RGB, on the 0-1 scale
    std: tuple[float, float, float]


@dataclass
class ImageFeatures:
    """What the image encoder says of B images, as it comes out of the last projection: not normalised.

    pooled   (B, d) one vector per image
    patches  (B, P, d) one vector per position, row by row, or None where nobody asked for them
    second   (B, e) what another, self-supervised encoder says of the same images, or None
    """

    pooled: Tensor
    patches: Tensor | None = None
    second: Tensor | None = None

    def __len__(self) -> int:
        return len(self.pooled)

    def __getitem__(self, rows: Tensor | slice) -> "ImageFeatures":
        return self._each(lambda features: features[rows])

    def to(self, device: torch.device) -> "ImageFeatures":
        return self._each(lambda features: to_device(features, device))

    @classmethod
    def joined(cls, parts: Sequence["ImageFeatures"]) -> "ImageFeatures":
        """All images in a row, with what every part has."""
        each = zip(*((part.pooled, part.patches, part.second) for part in parts))
        return cls(*(None if any(one is None for one in kind) else torch.cat(kind) for kind in each))

    def _each(self, change: Callable[[Tensor], Tensor]) -> "ImageFeatures":
        return ImageFeatures(
            *(None if part is None else change(part) for part in (self.pooled, self.patches, self.second))
        )


@dataclass(frozen=True)
class BlockTokens:
    """Vectors that a method puts into an encoder's sequence, block by block; they get no positions.

    by_block           {block: (n, w) or (B, n, w)}: what is in the sequence when that block begins, in place of the
                       tokens that were there. A function receives the rows without tokens (B, rows, w) and returns
                       the tokens. Before a block that is not named nothing changes: tokens stay as the block before
                       it left them.
    before_first_norm  of an image encoder: tokens of block 0 join before the norm that comes first, not after it

    In an image encoder tokens stand behind the class token and all patches (no row has a mask: their place changes
    nothing). In a text encoder they replace the rows 1 … n behind the start token, so that tokens of block 0 replace
    word vectors that have their positions; learned word vectors with positions go into `embeddings` instead.
    """

    by_block: Mapping[int, Tensor | Callable[[Tensor], Tensor]]
    before_first_norm: bool = False

    def behind(self, block: int, hidden: Tensor, own: int) -> Tensor:
        """(B, L, w) of which the first `own` rows are no tokens -> (B, own + n, w)."""
        if block not in self.by_block:
            return hidden
        rows = hidden[:, :own]
        return torch.cat([rows, self._at(block, rows)], dim=1)

    def in_place(self, block: int, hidden: Tensor) -> Tensor:
        """(K, L, w) -> (K, L, w) with other rows 1 … n. ValueError if there are not as many."""
        if block not in self.by_block:
            return hidden
        tokens = self._at(block, hidden)
        if (count := tokens.shape[1]) >= hidden.shape[1]:
            raise ValueError(f"{count} tokens do not fit behind the start of texts of {hidden.shape[1]} rows")
        return torch.cat([hidden[:, :1], tokens, hidden[:, 1 + count :]], dim=1)

    def refuse_unknown_blocks(self, blocks: int) -> None:
        """ValueError if a block is named that an encoder of so many has not."""
        if unknown := sorted(set(self.by_block) - set(range(blocks))):
            raise ValueError(f"tokens for the blocks {unknown} of an encoder of {blocks}")

    def _at(self, block: int, rows: Tensor) -> Tensor:
        """(B, n, w)."""
        tokens = self.by_block[block]
        if not isinstance(tokens, Tensor):
            tokens = tokens(rows)
        return tokens.expand(len(rows), -1, -1).to(rows.dtype)


class DualEncoder(nn.Module):
    """image -> (d,), text -> (d,); logits = exp(logit_scale) * cosine.

    width           d of the shared space
    text_width      w of the text encoder's input vectors
    context_length  positions of a text, start and end included
    image_width     of a row in the image encoder, or None if it reads no sequence that tokens could join (a ResNet)
    image_patch     pixels of a side of a patch, or None where it has none (a ResNet)
    position_stride pixels of a side of a position (`encode_positions`)
    image_blocks    blocks that tokens may enter, counted from 0 (`BlockTokens`); text_blocks: of the text encoder
    picture_format  how pictures enter
    image_prefix    how the names of the image encoder's parameters begin; all others are of the text encoder, but
                    for logit_scale
    logit_scale     parameter, the natural logarithm of what cosines are multiplied by
    additions       prefixes ending in "." of what a method has added (see `cones/models/additions.py`)
    """

    width: int
    text_width: int
    context_length: int
    image_width: int | None
    image_patch: int | None
    position_stride: int
    image_blocks: int
    text_blocks: int
    picture_format: PictureFormat
    image_prefix: str = "visual."
    logit_scale: nn.Parameter
    additions: tuple[str, ...] = ()

    @abstractmethod
    def encode_image(
        self, pixels: Tensor, *, patches: bool = False, tokens: BlockTokens | None = None
    ) -> ImageFeatures:
        """pixels (B, 3, side, side), normalised. `patches` asks for the vectors of all positions too."""

    @abstractmethod
    def encode_regions(self, pixels: Tensor, *, placed: bool) -> Tensor:
        """pixels (B, 3, side, side), normalised -> (B, 1 + P, d): the whole picture, then its positions row by row,
        each by its own value in the last attention, none of which sees another.

        Of a ResNet's attention pool the first row is, `placed`, the value of the mean of all positions, and positional
        embeddings are added to all rows (DualCoOp's reading); else it is the pooled feature, and no row has a
        positional embedding (TaI-DPT's). Of a vision transformer the first row is the pooled feature, and `placed`
        changes nothing: positions enter at the bottom, and the last block keeps its residual and feed-forward layer.
        """

    @abstractmethod
    def encode_positions(
        self, pixels: Tensor, *, reading: PositionReading, resize: GridResize = "bicubic"
    ) -> Positions:
        """Pixels (B, 3, h, w), normalised, of any size that the encoder's stride divides -> all their positions."""

    @abstractmethod
    def embed_text(self, ids: Tensor) -> Tensor:
        """Token ids (K, L) -> word vectors (K, L, w), before positions are added."""

    @abstractmethod
    def encode_text(self, embeddings: Tensor, ends: Tensor, *, tokens: BlockTokens | None = None) -> Tensor:
        """Word vectors (K, L, w) and the row of each text's end token (K,) -> (K, d), not normalised."""

    @abstractmethod
    def encode_words(self, embeddings: Tensor, ends: Tensor) -> Tensor:
        """As `encode_text`, of every row up to the last end: (K, 1 + max(ends), d); rows behind a text's own end say
        nothing of it."""


class Tokenizer(Protocol):
    """What the text encoder of a `DualEncoder` reads."""

    context_length: int

    def __call__(self, texts: Sequence[str], *, truncate: bool = False) -> tuple[Tensor, Tensor]:
        """Texts -> (ids (K, context_length) int64, rows of their ends (K,) int64).

        A text that is too long is refused with a ConesError; `truncate` cuts it, and its last token becomes the end.
        """

    def ids_of(self, text: str) -> list[int]:
        """The ids of a text alone, without start and end, of any length."""


def unit(vectors: Tensor) -> Tensor:
    """Divided by its length over the last axis; without an epsilon, as the published CLIP code does."""
    return vectors / vectors.norm(dim=-1, keepdim=True)


def scaled_cosines(images: Tensor, classes: Tensor, scale: Tensor | float) -> Tensor:
    """(B, d) and (K, d), of any length -> (B, K): `scale` times their cosines."""
    return scale * F.linear(unit(images), unit(classes))
