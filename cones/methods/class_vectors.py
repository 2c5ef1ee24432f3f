"""Vectors that stand for classes: how they are made of texts, and how images are compared with them."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cones.methods.classifier import Classifier
from cones.models.dual_encoder import ImageFeatures, unit


def averaged_texts(text: Callable[[Sequence[str]], Tensor], texts: Sequence[Sequence[str]]) -> Tensor:
    """(K, d), unit: of each class the mean over its texts of their unit features, made unit again.

    `text` encodes texts, not normalised; `texts` holds those of each class, of any number.
    """
    features = unit(text([one for of_class in texts for one in of_class]))
    return unit(torch.stack([part.mean(0) for part in features.split([len(of_class) for of_class in texts])]))


def mean_cosines(images: Tensor, vectors: Tensor) -> Tensor:
    """Images (B, d) and class vectors (K, d) or (K, N, d), of any length -> (B, K): of several vectors of a class the
    mean of their cosines."""
    vectors = unit(vectors)
    return F.linear(unit(images), vectors.mean(1) if vectors.ndim == 3 else vectors)


class ClassVectors(Classifier):
    """logits = `scale` * the mean cosine of an image and the vectors of a class, (K, d) or (K, N, d)."""

    def __init__(self, vectors: Tensor, scale: float, *, trains: bool = False):
        super().__init__()
        self.scale = scale
        if trains:
            self.vectors = nn.Parameter(vectors.clone())
        else:
            self.register_buffer("vectors", vectors)

    def forward(self, images: ImageFeatures) -> Tensor:
        return self.scale * mean_cosines(images.pooled, self.vectors)
