"""ZS-LP, its random start and CLAP equal the official code."""

import pytest
import torch

from baselines.adapters import zs_linear_probe
from baselines.adapters.zs_linear_probe import AnchoredVectors, ZeroShotStartedProbe
from cones.methods.class_vectors import ClassVectors
from cones.models.dual_encoder import ImageFeatures, unit
from cones.models.losses import normalised
from tests.golden.reading import GoldenFile
from tests.methods.classifier.inputs_of import inputs_of, losses_hold, take_steps
from tests.some_fast import first_two_fast

VARIANTS = {
    "zs": {"start": "text", "constraint": None},
    "random": {"start": "random", "constraint": None},
    "clap": {"start": "text", "constraint": "l2"},
}


def numbers_hold() -> None:
    with GoldenFile("zs_linear_probe") as golden:
        for variant in VARIANTS:
            variant_holds(golden, variant)


def variant_holds(golden: GoldenFile, variant: str) -> None:
    train, test = (ImageFeatures(golden[f"img_{split}"]) for split in ("train", "test"))
    labels, method = golden["labels"], ZeroShotStartedProbe()
    recipe = method.recipe.model_copy(update={"options": VARIANTS[variant]})
    classifier = method.classifier(inputs_of(golden["zs.w0"], train, labels, recipe=recipe))
    start = golden[f"{variant}.w0"]
    if variant == "random":
        classifier.vectors.data.copy_(start)
    assert torch.equal(classifier.vectors.data, start)
    golden.compare(f"{variant}.logits_train0", classifier(train))
    golden.compare(f"{variant}.logits_test0", classifier(test))
    loss = normalised(method.loss_terms(classifier, train, labels))["cross_entropy"]
    golden.compare(f"{variant}.ce0", loss, within=1e-5)
    golden.compare(f"{variant}.grad_ce0", torch.autograd.grad(loss, classifier.vectors)[0], within=1e-3)
    if variant == "clap":
        golden.compare("clap.multipliers", classifier.weights)
    steps = take_steps(method, classifier, train, labels, recipe)
    after = normalised(method.loss_terms(classifier, train, labels))
    losses_hold(golden, f"{variant}.losses", [*steps.losses, sum(after.values()).item()])
    golden.compare(f"{variant}.update3", classifier.vectors.detach() - start, within=1e-3)
    golden.compare(f"{variant}.logits_test3", classifier(test), within=2e-4)
    if variant == "clap":
        golden.compare("clap.constraint3", after["constraint"], within=1e-4)


def test_numbers_are_those_of_the_official_code():
    numbers_hold()


class SummedOverClasses(AnchoredVectors):
    def penalty(self):
        return super().penalty() * len(self.vectors)


def recipe_of(**changes):
    return ZeroShotStartedProbe.recipe.model_copy(update=changes)


MISTAKES = {
    "starts from unit rows": lambda patch: patch.setattr(
        zs_linear_probe, "ClassVectors", lambda vectors, scale, trains: ClassVectors(unit(vectors), scale, trains=True)
    ),
    "no momentum": lambda patch: patch.setattr(ZeroShotStartedProbe, "recipe", recipe_of(momentum=0.0)),
    "the usual decay": lambda patch: patch.setattr(ZeroShotStartedProbe, "recipe", recipe_of(weight_decay=5e-4)),
    "the constraint summed over classes": lambda patch: patch.setattr(
        zs_linear_probe, "AnchoredVectors", SummedOverClasses
    ),
}


@pytest.mark.parametrize("mistake", first_two_fast(MISTAKES))
def test_a_mistake_is_seen(mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        numbers_hold()


def test_the_random_start_has_the_published_spread():
    method, text = ZeroShotStartedProbe(), torch.ones(200, 50)
    recipe = method.recipe.model_copy(update={"options": VARIANTS["random"]})
    start = method.classifier(inputs_of(text, torch.ones(2, 50), torch.tensor([0, 1]), recipe=recipe)).vectors
    assert start.std().item() == pytest.approx((2 / 50) ** 0.5, rel=0.03) and abs(start.mean().item()) < 0.01
