"""SVL-Adapter equals the official code."""

import numpy as np
import pytest
import torch

from baselines.adapters import svl_adapter
from baselines.adapters.svl_adapter import MixedLogits, SVLAdapter
from cones.methods.first_best import first_best
from cones.models.dual_encoder import ImageFeatures, unit
from cones.runtime.errors import ConesError
from tests.golden.clip import recipe as golden_recipe
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import LABELS
from tests.methods.classifier.inputs_of import inputs_of, labelled, losses_hold, take_steps, tiny_images, tiny_text
from tests.some_fast import first_two_fast

WEIGHTS = ("mlp.0.weight", "mlp.0.bias", "mlp.2.weight", "mlp.2.bias")


def start(golden: GoldenFile, classifier: MixedLogits) -> None:
    for name in WEIGHTS:
        parameter = classifier.get_parameter(name)
        drawn = (golden_recipe.normal(f"svl/{name}", parameter.shape) * 0.1).astype(np.float32)
        golden.compare(f"init.{name}", torch.from_numpy(drawn), within=1e-6)
        parameter.data.copy_(torch.from_numpy(drawn))


def images_of(golden: GoldenFile, key: str, split: str) -> ImageFeatures:
    return ImageFeatures(golden[f"{key}clip_{split}_features_raw"], second=golden[f"{key}{split}_features"])


def given_with(golden: GoldenFile, train, val, val_labels, **options):
    recipe = SVLAdapter.recipe.model_copy(update={"options": {**SVLAdapter.recipe.options, **options}})
    text = golden["zeroshot_weights"].T
    return inputs_of(text, train, val=labelled(val, val_labels), recipe=recipe, unlabelled=None)


def training_holds(golden: GoldenFile, method, classifier: MixedLogits, train, test) -> None:
    golden.compare("train_logits_start", classifier.mlp(train.second))
    golden.compare("test_logits_start", classifier.mlp(test.second))
    recipe = method.recipe
    torch.testing.assert_close(torch.tensor([recipe.learning_rate, recipe.weight_decay]), golden["adam_lr_wd"])
    steps = take_steps(method, classifier, train, LABELS, recipe)
    losses_hold(golden, "losses", steps.losses)
    for number in (1, 3):
        for key in golden.keys(f"grad_step{number}."):
            golden.compare(key, steps.gradients[number - 1][key.split(".", 1)[1]], within=1e-3)
        for key in golden.keys(f"param_step{number}."):
            golden.compare(key, steps.parameters[number - 1][key.split(".", 1)[1]], within=1e-5)
    golden.compare("mlp_test_logits", classifier.mlp(test.second))


def alphas_hold(golden: GoldenFile, method, classifier: MixedLogits, key: str, test: ImageFeatures, given) -> None:
    """The rules that need no label: fixed, and by confidence, of un-normalised and of unit features."""
    golden.compare(f"{key}clip_test_logits", classifier.mixed(test, 0.0))
    if not key:
        golden.compare("test_logits_alpha0.2", classifier.mixed(test, 0.2))
    for name, is_unit in (("rn50", False), ("vitl14", True)):
        given.recipe.options.update(alpha="confidence", unit_confidence=is_unit)
        given.unlabelled = test  # the official code reads the test images
        method.fit(classifier, given, tune=lambda classifier: None)
        torch.testing.assert_close(
            classifier.alpha, golden[f"{key}conf_{name}_alpha"], rtol=1e-4, atol=1e-6 if not key else 0
        )
        golden.compare(f"{key}conf_{name}_test_logits", classifier(test))


@torch.no_grad()
def search_holds(golden: GoldenFile, method, classifier: MixedLogits, train) -> None:
    test, val = images_of(golden, "syn_", "test"), images_of(golden, "syn_", "val")
    labels = torch.arange(12) % 3
    given = given_with(golden, train, val, labels)
    found = method.fit(classifier, given, tune=lambda classifier: None)
    accuracies = torch.tensor([tried["accuracy"] / 100 for tried in found.tried])
    torch.testing.assert_close(accuracies, golden["syn_val_accuracy_per_alpha"], rtol=0, atol=1e-6)
    assert found.taken["alpha"] == pytest.approx(golden["syn_best_alpha"].item())
    golden.compare("syn_tuned_test_logits", classifier(test))
    golden.compare("syn_mlp_test_logits", classifier.mlp(test.second))
    alphas_hold(golden, method, classifier, "syn_", test, given)


def numbers_hold() -> None:
    with GoldenFile("svl_adapter") as golden:
        golden.compare("zeroshot_weights", unit(tiny_text(golden["token_ids"])).T)
        for split, count in (("test", 6), ("val", 9)):
            golden.compare(f"clip_{split}_features_raw", tiny_images(split, count))
        train = ImageFeatures(tiny_images("train", 8), second=golden["train_features"])
        test, val = images_of(golden, "", "test"), images_of(golden, "", "val")
        method, given = SVLAdapter(), given_with(golden, train, val, torch.arange(9) % 3)
        classifier = method.classifier(given)
        start(golden, classifier)
        training_holds(golden, method, classifier, train, test)
        alphas_hold(golden, method, classifier, "", test, given)
        search_holds(golden, method, classifier, train)


def test_numbers_are_those_of_the_official_code():
    numbers_hold()


def mixing(change):
    return lambda patch: patch.setattr(MixedLogits, "mixed", change)


def exchanged(self, images, alpha):
    return (1 - alpha) * self.mlp(images.second) + alpha * self.scale * unit(images.pooled) @ self.text.T


def of_probabilities(self, images, alpha):
    clip = (self.scale * unit(images.pooled) @ self.text.T).softmax(1)
    return alpha * self.mlp(images.second).softmax(1) + (1 - alpha) * clip


def second_unit(self, images, alpha):
    return alpha * self.mlp(unit(images.second)) + (1 - alpha) * self.scale * unit(images.pooled) @ self.text.T


MISTAKES = {
    "weights exchanged": mixing(exchanged),
    "probabilities are mixed": mixing(of_probabilities),
    "second features unit": mixing(second_unit),
    "the scale of the model": lambda patch: patch.setitem(SVLAdapter.recipe.options, "scale", 10.0),
    "confidence of unit features": lambda patch: patch.setattr(
        svl_adapter, "one_minus_confidence", lambda logits, rule=svl_adapter.one_minus_confidence: rule(logits / 8)
    ),
    "the usual decay": lambda patch: patch.setattr(
        SVLAdapter, "recipe", SVLAdapter.recipe.model_copy(update={"weight_decay": 5e-4})
    ),
}


@pytest.mark.parametrize("mistake", first_two_fast(MISTAKES))
def test_a_mistake_is_seen(mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        numbers_hold()


def test_where_no_answer_is_right_nothing_is_mixed_in():
    logits = torch.tensor([[1.0, 0.0]])
    assert first_best("alpha", [0.5, 1.0], lambda alpha: logits, torch.tensor([1])).taken == {"alpha": 0.0}


def test_without_a_second_encoder_it_is_refused():
    given = inputs_of(torch.eye(3), torch.eye(3), torch.arange(3), dataset="mine")
    with pytest.raises(ConesError, match=r"mine: SVL-Adapter needs features of a self-supervised encoder"):
        SVLAdapter().classifier(given)
