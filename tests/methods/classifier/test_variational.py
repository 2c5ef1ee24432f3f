"""Variational prompts equal the official code, with one posterior for all images and with one of each image."""

import functools
import math

import pytest
import torch
from torch.nn.functional import nll_loss

from baselines.text_prompts import variational
from baselines.text_prompts.variational import RandomContext, VariationalPrompts, mean_probability
from cones.methods.classifier import ClassifierMethod
from cones.models.dual_encoder import ImageFeatures, unit
from cones.models.losses import normalised
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import LABELS, NAMES
from tests.methods.classifier.golden_words import GoldenTokenizer, golden_vectors, prompt_inputs, with_options
from tests.methods.classifier.inputs_of import take_steps, tiny_images
from tests.some_fast import first_two_fast

METHOD = VariationalPrompts()
KINDS = {"free": "free", "cond": "image"}


@functools.cache
def drawn(split: str, step: int, count: int) -> torch.Tensor:
    """eps of FORMAT-B, B.2: (5, count, 128)."""
    tags = [f"train/{step}/{row}" if split == "train" else f"test/{row}" for row in range(count)]
    return torch.cat([golden_vectors(f"bpl/noise/{tag}", (5, 1, 128), 1.0) for tag in tags], 1)


def theirs(name: str) -> str:
    """The code's name of a trained tensor."""
    if name == "context":
        return "ctx"
    part, _, rest = name.removeprefix("posterior.").partition(".")
    if not rest:
        return {"mean": "mean_posterior", "log_variance": "std_posterior"}[part]
    return f"meta_net.weight_{part}.module.{rest}"


def given_of(golden: GoldenFile, **options):
    words = GoldenTokenizer(NAMES, golden["input/tokens"], before=4)
    return prompt_inputs(words, recipe=with_options(METHOD.recipe, draws=5, **options))


def started(golden: GoldenFile, kind: str) -> RandomContext:
    classifier = METHOD.classifier(given_of(golden, posterior=KINDS[kind]))
    for name, parameter in classifier.posterior.named_parameters():
        if kind == "free":
            parameter.data.copy_(golden[f"input/{theirs(f'posterior.{name}')}"])
        else:
            size = parameter.shape[1] ** -0.5 if parameter.ndim == 2 else 0.1
            parameter.data.copy_(golden_vectors(f"bpl/{theirs(f'posterior.{name}')}", parameter.shape, size))
    return classifier


def steps_of(patch, classifier: RandomContext, images: ImageFeatures, draws: list[torch.Tensor], each: bool):
    """Three steps with given eps, on all images or on one image each."""
    left = list(draws)

    class InTurn(VariationalPrompts):
        step = -1

        def loss_terms(self, classifier, images, labels):
            self.step += 1
            rows = slice(self.step, self.step + 1) if each else slice(None)
            return super().loss_terms(classifier, images[rows], labels[rows])

    with patch.context() as inner:
        inner.setattr(torch, "randn", lambda shape: left.pop(0))
        return take_steps(InTurn(), classifier, images, LABELS, METHOD.recipe)


def changes_hold(golden: GoldenFile, key: str, before: dict, classifier: RandomContext) -> None:
    """Of a tensor stored as it is, the change is compared."""
    for name, value in classifier.named_parameters():
        if not value.requires_grad:
            continue
        stored = f"{key}/{theirs(name)}"
        if f"{stored}_minus_start" in golden:
            golden.compare(f"{stored}_minus_start", value - before[name], within=5e-2)
        elif stored in golden:
            expected = golden[stored] - before[name]
            assert (value - before[name] - expected).abs().max() < 5e-2 * expected.std(), stored


def kind_holds(golden: GoldenFile, kind: str, patch) -> None:
    classifier, train = started(golden, kind), ImageFeatures(tiny_images("train", 8))
    test = ImageFeatures(tiny_images("test", 6))
    golden.compare("input/ctx", classifier.context)
    eps = drawn("train", 0, 8)
    mean, log_variance = classifier.posterior(unit(train.pooled))
    golden.compare(f"{kind}_mid/mu", mean.expand(8, -1))
    golden.compare(f"{kind}_mid/logvar", log_variance.expand(8, -1))
    added = mean[:1] + eps[:, :1] * (log_variance[:1] / 2).exp()
    texts = classifier.texts((classifier.context + added[:, :, None])[:, :, None])[:, 0]
    golden.compare(f"{kind}_mid/text_features_image0", texts)
    log_probabilities = mean_probability(classifier.log_probabilities(train.pooled, eps))
    golden.compare(f"{kind}_start/logprob_train", log_probabilities)
    task = -log_probabilities[torch.arange(8), LABELS]
    divergence = classifier.divergence(train.pooled).expand(8)
    golden.compare(f"{kind}_loss/task", task)
    for key, value in (("kl", divergence), ("total", task + 1e-3 * divergence)):
        torch.testing.assert_close(value, golden[f"{kind}_loss/{key}"], rtol=1e-5, atol=0)
    losses_hold_of(golden, kind, classifier, train, patch)
    test_eps = drawn("test", 0, 6)
    found = mean_probability(started(golden, kind).log_probabilities(test.pooled, test_eps))
    golden.compare(f"{kind}_start/logprob_test", found)
    found = mean_probability(classifier.log_probabilities(test.pooled, test_eps))
    golden.compare(f"{kind}_steps8/logprob_test", found)
    alone = started(golden, kind)
    before = {name: value.detach().clone() for name, value in alone.named_parameters()}
    steps = steps_of(patch, alone, train, [drawn("train", 0, 8)[:, row : row + 1] for row in range(3)], True)
    torch.testing.assert_close(torch.tensor(steps.losses), golden[f"{kind}_steps1/losses"], rtol=4e-5, atol=0)
    changes_hold(golden, f"{kind}_steps1", before, alone)


def losses_hold_of(golden: GoldenFile, kind: str, classifier: RandomContext, train: ImageFeatures, patch) -> None:
    before = {name: value.detach().clone() for name, value in classifier.named_parameters()}
    steps = steps_of(patch, classifier, train, [drawn("train", step, 8) for step in range(3)], False)
    torch.testing.assert_close(torch.tensor(steps.losses), golden[f"{kind}_steps8/losses"], rtol=4e-5, atol=0)
    for name, gradient in steps.gradients[0].items():
        golden.compare(f"{kind}_grad/{theirs(name)}", gradient, within=1e-3)
    changes_hold(golden, f"{kind}_steps8", before, classifier)


def numbers_hold(patch) -> None:
    with GoldenFile("variational") as golden:
        golden.compare("mid/image_features_train", tiny_images("train", 8))
        for kind in KINDS:
            kind_holds(golden, kind, patch)


def test_numbers_are_those_of_the_official_code(monkeypatch):
    numbers_hold(monkeypatch)


def summed(patch) -> None:
    mean = RandomContext.divergence
    patch.setattr(RandomContext, "divergence", lambda self, images: 128 * mean(self, images))


class StandardDeviation(variational.FreePosterior):
    def forward(self, images):
        return self.mean, 2 * self.log_variance


MISTAKES = {
    "the mean of log-probabilities": lambda patch: patch.setitem(
        globals(), "mean_probability", lambda found: found.mean(0)
    ),
    "exp l is the standard deviation": lambda patch: patch.setattr(variational, "FreePosterior", StandardDeviation),
    "the image feature is not unit": lambda patch: (
        patch.setattr(variational, "unit", lambda vectors: vectors),
        patch.setitem(globals(), "unit", lambda vectors: vectors),
    ),
    "the divergence is a sum": summed,
    "no decay": lambda patch: patch.setattr(
        VariationalPrompts, "recipe", METHOD.recipe.model_copy(update={"weight_decay": 0.0})
    ),
}


@pytest.mark.parametrize("mistake", first_two_fast(MISTAKES))
def test_a_mistake_is_seen(mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        numbers_hold(monkeypatch)


@pytest.mark.parametrize("posterior", ["free", "image"])
def test_answers_depend_on_no_other_image_and_without_spread_are_zero_shot(posterior, monkeypatch):
    golden, test = GoldenFile("variational"), ImageFeatures(tiny_images("test", 6))
    given = given_of(golden, posterior=posterior)
    classifier = METHOD.classifier(given)
    whole = classifier(test)
    torch.testing.assert_close(whole.logsumexp(1), torch.zeros(6), rtol=0, atol=1e-5)
    monkeypatch.setattr(variational, "TEXTS_AT_ONCE", 1)
    torch.testing.assert_close(classifier(test), whole)
    given.names = ("toy car", "cat", "white blood cell")
    torch.testing.assert_close(METHOD.for_classes(classifier, given)(test), whole[:, [1, 0, 2]])
    for name, parameter in classifier.posterior.named_parameters():
        is_last_bias = name in ("log_variance", "log_variance.4.bias")
        parameter.data.fill_(-math.inf if is_last_bias else 0.0)
    zero_shot = ClassifierMethod.load("zero_shot").classifier(given_of(golden))(test)
    torch.testing.assert_close(classifier(test), zero_shot.log_softmax(-1), rtol=1e-5, atol=1e-5)


def test_training_draws_anew_and_lowers_the_loss():
    given = given_of(GoldenFile("variational"))
    classifier, train = METHOD.classifier(given), given.train.features
    found = [sum(normalised(METHOD.loss_terms(classifier, train, LABELS)).values()).item() for _ in range(2)]
    assert found[0] != found[1]
    torch.manual_seed(0)
    classifier.posterior.log_variance.data.fill_(-6.0)  # as small as words are
    recipe = METHOD.recipe.model_copy(update={"learning_rate": 0.02})
    before = nll_loss(classifier(train), LABELS).item()
    take_steps(METHOD, classifier, train, LABELS, recipe, 30)
    assert nll_loss(classifier(train), LABELS).item() < before - 0.01
