"""Which extractors measure a model's pictures: the published pair, or the icon world's classifier for `sd_nano`."""

import importlib

import torch

from cones.models.extractors.extractor import FeatureExtractor
from cones.models.generators import METRICS, OWN_OF_SHIPPED, SHIPPED
from cones.weights.pretrained import Recorded, pretrained_models


def extractors_of(model: str, device: torch.device) -> dict[str, FeatureExtractor]:
    """{the extractor's full name, as tables print it: extractor}, from directories that were found before."""
    from cones.models.extractors.published import ClipFeatures, DinoFeatures

    if model == SHIPPED:
        own = importlib.import_module(OWN_OF_SHIPPED).IconFeatures
        return {"icon classifier": own.load(Recorded.read(model).directory, device)}
    kinds = dict(zip(METRICS, (ClipFeatures, DinoFeatures)))
    listed = pretrained_models()
    return {listed[name].repo: kinds[name].load(Recorded.read(name).directory, device) for name in METRICS}
