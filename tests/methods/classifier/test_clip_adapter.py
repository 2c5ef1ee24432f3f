"""CLIP-Adapter equals the official code."""

import pytest
import torch
from torch import nn

from baselines.adapters import clip_adapter
from baselines.adapters.clip_adapter import AdaptedImages, CLIPAdapter
from cones.models.dual_encoder import ImageFeatures, scaled_cosines, unit
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import LABELS
from tests.methods.classifier.inputs_of import inputs_of, losses_hold, take_steps, tiny_images, tiny_text
from tests.some_fast import first_two_fast

LAYERS = {"fc.0.weight": "adapter.0.weight", "fc.2.weight": "adapter.2.weight"}


def numbers_hold() -> None:
    with GoldenFile("clip_adapter") as golden:
        golden.compare("text_features_raw", tiny_text(golden["token_ids"]))
        golden.compare("train_features_raw", tiny_images("train", 8))
        golden.compare("test_features_raw", tiny_images("test", 6))
        images = {split: ImageFeatures(golden[f"{split}_features_raw"]) for split in ("train", "test")}
        method, given = CLIPAdapter(), inputs_of(golden["text_features_raw"], images["train"])
        classifier = method.classifier(given)
        for theirs, ours in LAYERS.items():
            classifier.get_parameter(ours).data.copy_(golden[f"init.{theirs}"])
        for split, features in images.items():
            golden.compare(f"{split}_adapter_output", classifier.adapter(features.pooled))
            golden.compare(f"{split}_logits", classifier(features))
            zero_shot = AdaptedImages(given.class_texts(), 10.0, adapter=classifier.adapter, ratio=0.0)
            golden.compare(f"{split}_zero_shot_logits", zero_shot(features))
        steps = take_steps(method, classifier, images["train"], LABELS, method.recipe)
        for theirs, ours in LAYERS.items():
            for number in (1, 2, 3):
                golden.compare(f"grad_step{number}.{theirs}", steps.gradients[number - 1][ours], within=1e-3)
            for number in (1, 3):
                golden.compare(f"param_step{number}.{theirs}", steps.parameters[number - 1][ours], within=2e-6)
        losses_hold(golden, "losses", steps.losses)
        for split, features in images.items():
            golden.compare(f"{split}_logits_after", classifier(features))


def test_numbers_are_those_of_the_official_code():
    numbers_hold()


class EachUnitFirst(AdaptedImages):
    def forward(self, images):
        mixed = self.ratio * unit(self.adapter(images.pooled)) + (1 - self.ratio) * unit(images.pooled)
        return scaled_cosines(mixed, self.text, self.scale)


class OneRelu(AdaptedImages):
    def __init__(self, text, scale, *, adapter, ratio):
        super().__init__(text, scale, adapter=nn.Sequential(*adapter[:3]), ratio=ratio)


def recipe_of(**changes):
    return CLIPAdapter.recipe.model_copy(update=changes)


MISTAKES = {
    "no second ReLU": lambda patch: patch.setattr(clip_adapter, "AdaptedImages", OneRelu),
    "both unit before they are mixed": lambda patch: patch.setattr(clip_adapter, "AdaptedImages", EachUnitFirst),
    "the ratio exchanged": lambda patch: patch.setattr(
        CLIPAdapter, "recipe", recipe_of(options={"ratio": 0.8, "reduction": 4})
    ),
    "no momentum": lambda patch: patch.setattr(CLIPAdapter, "recipe", recipe_of(momentum=0.0)),
    "no decay": lambda patch: patch.setattr(CLIPAdapter, "recipe", recipe_of(weight_decay=0.0)),
}


@pytest.mark.parametrize("mistake", first_two_fast(MISTAKES))
def test_a_mistake_is_seen(mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        numbers_hold()


def test_unit_features_give_the_same_logits_and_other_classes_the_same_adapter():
    torch.manual_seed(0)
    images, text = torch.randn(5, 64) * 7, torch.randn(3, 64)
    method, labels = CLIPAdapter(), torch.tensor([0, 1, 2, 0, 1])
    classifier = method.classifier(inputs_of(text, images, labels))
    plain = classifier(ImageFeatures(images))
    torch.testing.assert_close(classifier(ImageFeatures(unit(images))), plain)
    new = method.for_classes(classifier, inputs_of(text.flip(0), images, labels))
    torch.testing.assert_close(new(ImageFeatures(images)), plain.flip(1))
