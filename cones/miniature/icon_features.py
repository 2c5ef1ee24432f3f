"""The icon world's extractor: the classifier that was trained beside `sd_nano`, on icons sharp and reconstructed."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cones.miniature.icon_classifier import IconClassifier
from cones.miniature.pretraining.diffusion.recipe import SIDE
from cones.models.extractors.extractor import FeatureExtractor
from cones.models.stable_diffusion.views import square
from cones.runtime.artifacts import load_tensors


class IconFeatures(FeatureExtractor):
    """Features before the classifier's answers; it reads no texts."""

    @classmethod
    def load(cls, directory: Path, device: torch.device) -> "IconFeatures":
        """`directory` is the pipeline directory of `sd_nano`."""
        tensors, _ = load_tensors(directory / "classifier.safetensors")
        classifier = IconClassifier()
        classifier.load_state_dict({name: value.float() for name, value in tensors.items()})
        return cls(classifier, device)

    def _features(self, pictures: Sequence[Image.Image]) -> Tensor:
        pixels = np.stack([np.asarray(square(picture, SIDE), np.float32) for picture in pictures])
        scaled = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 127.5 - 1  # (B, 3, SIDE, SIDE)
        return self.model.features(scaled.to(self.device))
