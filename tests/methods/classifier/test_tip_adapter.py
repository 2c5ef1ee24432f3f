"""Tip-Adapter and Tip-Adapter-F equal the official code, but for the epoch that -F keeps."""

import pytest
import torch

from baselines.adapters import tip_adapter
from baselines.adapters.tip_adapter import OPTIONS, Cache, TipAdapter, TipAdapterF, grid
from cones.methods.first_best import right_answers
from cones.models.dual_encoder import ImageFeatures, unit
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import LABELS
from tests.methods.classifier.inputs_of import inputs_of, labelled, losses_hold, take_steps, tiny_images, tiny_text
from tests.some_fast import first_two_fast

REAL_GRID = OPTIONS | {"beta_steps": 20, "alpha_steps": 10}
WIDE_GRID = OPTIONS | {"max_beta": 50.0, "max_alpha": 50.0}


def given_of(golden: GoldenFile, method: TipAdapter):
    recipe = method.recipe.model_copy(update={"options": REAL_GRID})
    return inputs_of(
        golden["text_features_raw"],
        golden["train_features_raw"],
        views=golden["aug_features_raw"],
        val=labelled(golden["val_features"], golden["val_labels"]),
        recipe=recipe,
    )


def features_hold(golden: GoldenFile) -> None:
    golden.compare("text_features_raw", tiny_text(golden["token_ids"]))
    golden.compare("train_features_raw", tiny_images("train", 8))
    golden.compare("aug_features_raw", torch.stack([tiny_images(f"aug{number}", 8) for number in range(3)]))
    for split, count in (("val", 9), ("test", 6)):
        golden.compare(f"{split}_features", unit(tiny_images(split, count)))
        assert golden[f"{split}_labels"].tolist() == [number % 3 for number in range(count)]


@torch.no_grad()
def cache_holds(golden: GoldenFile) -> None:
    method = TipAdapter()
    given = given_of(golden, method)
    cache = method.classifier(given)
    golden.compare("clip_weights", cache.text.T)
    golden.compare("cache_keys", cache.keys.T)
    golden.compare("cache_values", cache.values)
    raw = {"train": golden["train_features_raw"], "val": golden["val_features"], "test": golden["test_features"]}
    for split, features in raw.items():
        images = ImageFeatures(features)
        golden.compare(f"{split}_affinity", unit(features) @ cache.keys.T)
        golden.compare(f"{split}_tip_logits", cache(images))
        plain = cache.mixed(images, torch.tensor(0.0), 1.0)
        golden.compare(f"{split}_clip_logits", plain)
        golden.compare(f"{split}_cache_logits", cache.mixed(images, torch.tensor(1.0), 1.0) - plain, within=2e-3)
    torch.testing.assert_close(torch.tensor(grid(7.0, 20)), golden["grid_beta"])
    torch.testing.assert_close(torch.tensor(grid(3.0, 10)), golden["grid_alpha"])
    found = method.fit(cache, given, tune=None)
    torch.testing.assert_close(torch.tensor([found.taken["beta"], found.taken["alpha"]]), golden["tip_best_beta_alpha"])
    golden.compare("test_tip_logits_best", cache(ImageFeatures(raw["test"])))


@torch.no_grad()
def search_holds(golden: GoldenFile) -> None:
    """A set on which the search matters."""
    method = TipAdapter()
    keys, labels = golden["syn_keys"], golden["syn_key_labels"]
    images, val_labels = ImageFeatures(golden["syn_val_features"]), golden["syn_val_labels"]
    recipe = method.recipe.model_copy(update={"options": WIDE_GRID})
    given = inputs_of(golden["syn_clip_weights_rows"], keys, labels, val=labelled(images, val_labels), recipe=recipe)
    cache = method.classifier(given)
    alphas = torch.tensor(grid(50.0, 20))[:, None, None]
    right = torch.stack([right_answers(cache.mixed(images, alphas, beta), val_labels) for beta in grid(50.0, 200)])
    golden.compare("syn_grid_correct", right)
    zero_shot = cache.mixed(images, torch.tensor(0.0), 1.0)
    golden.compare("syn_zero_shot_correct", right_answers(zero_shot, val_labels))
    found = method.fit(cache, given, tune=None)
    torch.testing.assert_close(torch.tensor([found.taken["beta"], found.taken["alpha"]]), golden["syn_best_beta_alpha"])
    assert found.ties == 37 and len(found.tried) == 200
    assert max(tried["accuracy"] for tried in found.tried) == 75.0
    golden.compare("syn_val_logits_best", cache(images))


def training_holds(golden: GoldenFile) -> None:
    method = TipAdapterF()
    given = given_of(golden, method)
    torch.testing.assert_close(
        torch.tensor([method.recipe.learning_rate, method.recipe.weight_decay, method.recipe.eps]),
        golden["F_adamw_lr_wd_eps"],
    )
    cache, start = method.classifier(given), golden["cache_keys"].T
    train, test = given.train.features, ImageFeatures(golden["test_features"])
    golden.compare("F_train_logits_step1", cache(train))
    steps = []

    def tune(classifier: Cache) -> None:
        steps.append(take_steps(method, classifier, train, LABELS, method.recipe))
        golden.compare("F_test_logits_init_hp", classifier(test))

    found = method.fit(cache, given, tune)
    losses_hold(golden, "F_losses", steps[0].losses, within=1e-4)
    for number, (gradients, parameters) in enumerate(zip(steps[0].gradients, steps[0].parameters), 1):
        golden.compare(f"F_grad_step{number}", gradients["keys"], within=1e-3)
        moved, key = parameters["keys"] - start, f"F_keys_after_step{number}"
        expected = golden[key] - start
        assert (moved - expected).abs().max() < 1e-3 * expected.std(), key
    torch.testing.assert_close(torch.tensor([found.taken["beta"], found.taken["alpha"]]), golden["F_best_beta_alpha"])
    golden.compare("F_test_logits_best", cache(test))


def numbers_hold() -> None:
    with GoldenFile("tip_adapter") as golden:
        features_hold(golden)
        cache_holds(golden)
        search_holds(golden)
        training_holds(golden)


def test_numbers_are_those_of_the_official_code():
    numbers_hold()


class NoMinusBeta(Cache):
    def mixed(self, images, alpha, beta):
        features = unit(images.pooled)
        found = (beta * (features @ self.keys.T)).exp() @ self.values
        return self.scale * features @ self.text.T + alpha * found


class Exchanged(Cache):
    def forward(self, images):
        return self.mixed(images, self.beta, self.alpha)


def made_of(change):
    """Tip-Adapter whose keys are made of training features and views in another way."""

    def classifier(self, inputs):
        cache = ORIGINAL(self, inputs)
        cache.keys.data.copy_(change(inputs.train.features.pooled, inputs.train.views))
        return cache

    return lambda patch: patch.setattr(TipAdapter, "classifier", classifier)


ORIGINAL = TipAdapter.classifier


def with_recipe(**changes):
    return lambda patch: patch.setattr(TipAdapterF, "recipe", TipAdapterF.recipe.model_copy(update=changes))


MISTAKES = {
    "keys are not unit": made_of(lambda plain, views: views.mean(0)),
    "views unit before their mean": made_of(lambda plain, views: unit(unit(views).mean(0))),
    "keys of the plain images": made_of(lambda plain, views: unit(plain)),
    "the scale of the model": lambda patch: patch.setitem(REAL_GRID, "scale", 10.0),
    "no minus beta": lambda patch: patch.setattr(tip_adapter, "Cache", NoMinusBeta),
    "alpha and beta exchanged": lambda patch: patch.setattr(tip_adapter, "Cache", Exchanged),
    "the limit of the grid is tried": lambda patch: patch.setattr(
        tip_adapter, "grid", lambda limit, steps: torch.linspace(0.1, limit, steps).tolist()
    ),
    "eps 1e-8": with_recipe(eps=1e-8),
    "the decay in the gradient": with_recipe(optimiser="adam"),
    "no decay": with_recipe(weight_decay=0.0),
}


@pytest.mark.parametrize("mistake", first_two_fast(MISTAKES))
def test_a_mistake_is_seen(mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        numbers_hold()
