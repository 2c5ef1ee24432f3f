"""What tests of methods inside the image encoder share: the tiny CLIP, its pictures, and texts of golden token ids."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn

from cones.methods.classifier import Classifier, ClassifierInputs, ClassifierMethod
from cones.models.checkpoints import without_start_values
from cones.models.clip.build import build_clip
from cones.models.clip.model import CLIP
from tests.golden.clip import recipe as golden_recipe
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import LABELS, golden_clip, golden_images
from tests.methods.classifier.inputs_of import Steps, inputs_of, losses_hold, take_steps, tiny_text


def drawn(name: str, shape: tuple[int, ...], scale: float) -> Tensor:
    """FORMAT-C's N(name, shape, c)."""
    return torch.from_numpy((golden_recipe.normal(name, shape) * scale).astype(np.float32))


def pixel_inputs(ids: Tensor, **others) -> ClassifierInputs:
    """The tiny CLIP, whose class texts have these token ids (3, 77) whatever they say."""
    text = tiny_text(ids)
    given = inputs_of(text, torch.zeros(8, 0), LABELS, **{"encoder": golden_clip(), **others})
    given.text = lambda texts, *, truncate=False: text
    given.tokenizer = lambda texts: (ids, ids.argmax(1))
    return given


def vit_b16() -> CLIP:
    """For its shapes and word vectors: whatever else was in memory are its other values; drawing them takes seconds."""
    with without_start_values():
        encoder = build_clip("clip_vit_b16")
    nn.init.normal_(encoder.token_embedding.weight, std=0.02)
    return encoder


def set_to(classifier: Classifier, values: Mapping[str, Tensor]) -> None:
    """Give parameters their golden start."""
    parameters = dict(classifier.named_parameters())
    with torch.no_grad():
        for name, value in values.items():
            parameters[name].copy_(value.reshape(parameters[name].shape))


def trained(classifier: Classifier) -> set[str]:
    return {name for name, value in classifier.named_parameters() if value.requires_grad}


def steps_hold(golden: GoldenFile, key: str, method: ClassifierMethod, classifier: Classifier, recipe) -> Steps:
    """Three steps on the 8 training pictures; the losses before them and after the last are the golden ones."""
    train = golden_images("train", 8)
    steps = take_steps(method, classifier, train, LABELS, recipe)
    after = take_steps(method, classifier, train, LABELS, recipe.model_copy(update={"learning_rate": 1e-30}), 1)
    losses_hold(golden, key, [*steps.losses, *after.losses], within=2e-5)
    return steps
