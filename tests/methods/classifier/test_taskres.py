"""TaskRes equals the official code."""

import pytest
import torch

from baselines.adapters import taskres
from baselines.adapters.taskres import TaskRes, TextResidual
from cones.models.dual_encoder import ImageFeatures, unit
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import LABELS
from tests.methods.classifier.inputs_of import inputs_of, losses_hold, take_steps, tiny_images, tiny_text
from tests.some_fast import first_two_fast


@torch.no_grad()
def features_hold(golden: GoldenFile) -> None:
    golden.compare("base_text_features", tiny_text(golden["token_ids"]))
    golden.compare("train_features_raw", tiny_images("train", 8))
    golden.compare("test_features_raw", tiny_images("test", 6))
    raw = tiny_text(golden["imagenet_token_ids"])
    golden.compare("imagenet_text_features_raw", raw)
    golden.compare("imagenet_base_text_features", raw.mean(1))


def numbers_hold() -> None:
    with GoldenFile("taskres") as golden:
        features_hold(golden)
        text = golden["base_text_features"]
        train, test = (ImageFeatures(golden[f"{split}_features_raw"]) for split in ("train", "test"))
        method = TaskRes()
        classifier = method.classifier(inputs_of(text, train))
        golden.compare("train_logits_x0", classifier(train))
        golden.compare("test_logits_x0", classifier(test))
        steps = take_steps(method, classifier, train, LABELS, method.recipe)
        for number in (1, 2, 3):
            golden.compare(f"grad_step{number}.x", steps.gradients[number - 1]["residual"], within=1e-3)
        for number in (1, 3):
            golden.compare(f"param_step{number}.x", steps.parameters[number - 1]["residual"], within=1e-3)
        losses_hold(golden, "losses", steps.losses)
        golden.compare("train_logits_after", classifier(train))
        golden.compare("test_logits_after", classifier(test))
        imagenet = method.classifier(inputs_of(golden["imagenet_base_text_features"], train))
        golden.compare("imagenet_test_logits_x0", imagenet(test))
        example_holds(golden, method.classifier(inputs_of(text, train)), train, test)


def example_holds(golden: GoldenFile, classifier: TextResidual, train: ImageFeatures, test: ImageFeatures) -> None:
    with torch.no_grad():
        classifier.residual.copy_(golden["x_example"])
    vectors = classifier.text + classifier.alpha * classifier.residual
    golden.compare("x_example_text_features", vectors)
    golden.compare("x_example_train_logits", classifier(train))
    golden.compare("x_example_test_logits", classifier(test))
    loss = torch.nn.functional.cross_entropy(classifier(train), LABELS)
    loss.backward()
    golden.compare("x_example_loss", loss, within=1e-5)
    golden.compare("x_example_grad", classifier.residual.grad, within=1e-3)


def test_numbers_are_those_of_the_official_code():
    numbers_hold()


def changed_recipe(**changes):
    return TaskRes.recipe.model_copy(update=changes)


MISTAKES = {
    "the base is made unit first": lambda patch: patch.setattr(
        taskres, "TextResidual", lambda text, alpha, scale: TextResidual(unit(text), alpha, scale)
    ),
    "the result is not made unit": lambda patch: patch.setattr(
        taskres, "scaled_cosines", lambda images, classes, scale: scale * unit(images) @ classes.T
    ),
    "alpha is 1": lambda patch: patch.setattr(TaskRes, "recipe", changed_recipe(options={"alpha": 1.0})),
    "no decay": lambda patch: patch.setattr(TaskRes, "recipe", changed_recipe(weight_decay=0.0)),
    "the decay is adamw's": lambda patch: patch.setattr(TaskRes, "recipe", changed_recipe(optimiser="adamw")),
}


@pytest.mark.parametrize("mistake", first_two_fast(MISTAKES))
def test_a_mistake_is_seen(mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        numbers_hold()
