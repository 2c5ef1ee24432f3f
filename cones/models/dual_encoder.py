"""The seam of a model with two encoders, such as CLIP: images and texts become vectors of one space."""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

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

    def _each(self, change: Callable[[Tensor], Tensor]) -> "ImageFeatures":
        return ImageFeatures(
            *(None if part is None else change(part) for part in (self.pooled, self.patches, self.second))
        )


class DualEncoder(nn.Module):
    """image -> (d,), text -> (d,); logits = exp(logit_scale) * cosine.

    width           d of the shared space
    text_width      w of the text encoder's input vectors
    context_length  positions of a text, start and end included
    picture_format  how pictures enter
    image_prefix    how the names of the image encoder's parameters begin; all others are of the text encoder, but
                    for logit_scale
    logit_scale     parameter, the natural logarithm of what cosines are multiplied by
    """

    width: int
    text_width: int
    context_length: int
    picture_format: PictureFormat
    image_prefix: str = "visual."
    logit_scale: nn.Parameter

    @abstractmethod
    def encode_image(self, pixels: Tensor, *, patches: bool = False) -> ImageFeatures:
        """pixels (B, 3, side, side), normalised. `patches` asks for the vectors of all positions too."""

    @abstractmethod
    def embed_text(self, ids: Tensor) -> Tensor:
        """Token ids (K, L) -> word vectors (K, L, w), before positions are added."""

    @abstractmethod
    def encode_text(self, embeddings: Tensor, ends: Tensor) -> Tensor:
        """Word vectors (K, L, w) and the row of each text's end token (K,) -> (K, d), not normalised."""


def unit(vectors: Tensor) -> Tensor:
    """Divided by its length over the last axis; without an epsilon, as the published CLIP code does."""
    return vectors / vectors.norm(dim=-1, keepdim=True)


def scaled_cosines(images: Tensor, classes: Tensor, scale: Tensor | float) -> Tensor:
    """(B, d) and (K, d), of any length -> (B, K): `scale` times their cosines."""
    return scale * F.linear(unit(images), unit(classes))
