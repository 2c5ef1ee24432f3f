"""Which extractors measure a model's pictures: the published pair, or the icon world's classifier for `sd_nano`."""

from pathlib import Path

import torch

from cones.models.features.extractor import FeatureExtractor
from cones.models.features.icons import IconFeatures
from cones.models.features.published import ClipFeatures, DinoFeatures
from cones.models.pretrained import pretrained_models, resolve

PUBLISHED = {"clip_metric": ClipFeatures, "dino_metric": DinoFeatures}


def extractors_of(
    model: str, directory: Path, device: torch.device, *, allow_download: bool = False
) -> dict[str, FeatureExtractor]:
    """{the extractor's full name, as tables print it: extractor}; `directory` is the model's own."""
    if model not in pretrained_models():  # a model of the icon world brings its classifier along
        return {"icon classifier": IconFeatures.load(directory, device)}
    return {
        pretrained_models()[name].repo: kind.load(resolve(name, allow_download=allow_download).directory, device)
        for name, kind in PUBLISHED.items()
    }
