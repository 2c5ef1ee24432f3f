"""DualCoOp equals the official code; labels that nobody knows teach nothing."""

import pytest
import torch

from baselines.text_prompts import dualcoop
from baselines.text_prompts.dualcoop import DualCoOp, PairedTexts, asymmetric_loss
from cones.models.dual_encoder import ImageFeatures
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import NAMES
from tests.methods.classifier.golden_words import (
    GoldenTokenizer,
    golden_vectors,
    prompt_inputs,
    step_holds,
    with_options,
)
from tests.methods.classifier.inputs_of import losses_hold, take_steps
from tests.methods.classifier.regions_of import regions, resnet
from tests.some_fast import first_two_fast

SUBSET = [2, 0]  # the classes of `subset_train_logits`


def given_of(golden: GoldenFile, prefix: str = "", names=NAMES, **options):
    vectors = 4 if prefix else 16
    ids = golden[f"{prefix}token_ids_neg_then_pos"]
    assert torch.equal(ids[:3], ids[3:])
    words = GoldenTokenizer(NAMES, ids[:3], before=vectors)
    recipe = with_options(DualCoOp.recipe, vectors=vectors, class_specific=bool(prefix), **options)
    train = regions("train", 8, placed=True)
    return prompt_inputs(words, names=names, encoder=resnet(), train=train, recipe=recipe)


def started(golden: GoldenFile, prefix: str) -> PairedTexts:
    classifier = DualCoOp().classifier(given_of(golden, prefix))
    for sign, parameter in (("pos", classifier.positive), ("neg", classifier.negative)):
        name = f"dualcoop/ctx_{sign}" + ("_csc" if prefix else "")
        start = golden_vectors(name, parameter.shape, 0.02)
        golden.compare(f"{prefix}init.ctx_{sign}", start, within=1e-6)
        assert parameter.std().item() == pytest.approx(0.02, rel=0.15)
        parameter.data.copy_(start)
    return classifier


def steps_hold(golden: GoldenFile, prefix: str, classifier: PairedTexts, labels: torch.Tensor) -> None:
    method, train = DualCoOp(), regions("train", 8, placed=True)
    start = {name: value.detach().clone() for name, value in classifier.named_parameters() if value.requires_grad}
    steps = take_steps(method, classifier, train, labels, method.recipe)
    losses_hold(golden, f"{prefix}losses", steps.losses)
    for sign, name in (("pos", "positive"), ("neg", "negative")):
        for number in (1, 2, 3):
            golden.compare(f"{prefix}grad_step{number}.ctx_{sign}", steps.gradients[number - 1][name], within=1e-3)
        for number in (1, 3):
            found = steps.parameters[number - 1][name]
            step_holds(golden, f"{prefix}param_step{number}.ctx_{sign}", found, start[name])


def classifier_holds(golden: GoldenFile, prefix: str, labels: torch.Tensor) -> None:
    classifier = started(golden, prefix)
    train, test = regions("train", 8, placed=True), regions("test", 6, placed=True)
    golden.compare(f"{prefix}text_features_raw_neg_then_pos", classifier.class_texts().flatten(0, 1))
    scores = classifier.scores(train)
    golden.compare(f"{prefix}train_region_scores", scores.flatten(2).transpose(1, 2))
    golden.compare(f"{prefix}train_region_weights", classifier.weights(scores).transpose(1, 2))
    golden.compare(f"{prefix}train_logits", classifier.pairs(train))
    golden.compare(f"{prefix}test_logits", classifier.pairs(test))
    golden.compare(f"{prefix}test_probability", classifier(test).sigmoid(), within=1e-3)
    unweighted = asymmetric_loss(classifier.pairs(train), labels, **classifier.loss)
    golden.compare(f"{prefix}loss_unweighted", unweighted, within=1e-5)
    steps_hold(golden, prefix, classifier, labels)
    golden.compare(f"{prefix}train_logits_after", classifier.pairs(train))
    golden.compare(f"{prefix}test_logits_after", classifier.pairs(test))


def numbers_hold() -> None:
    with GoldenFile("dualcoop") as golden:
        labels = golden["targets"]
        for tag, count in (("train", 8), ("test", 6)):
            golden.compare(f"{tag}_region_features_raw", regions(tag, count, placed=True).patches.transpose(1, 2))
        logits = golden["syn_logits"].requires_grad_()
        loss = asymmetric_loss(logits, labels)
        golden.compare("syn_loss", loss, within=1e-5)
        golden.compare("syn_grad", torch.autograd.grad(loss, logits)[0], within=1e-4)
        classifier_holds(golden, "", labels)
        classifier_holds(golden, "csc_", labels)
        subset = given_of(golden, names=[NAMES[place] for place in SUBSET])
        some = DualCoOp().for_classes(started(golden, ""), subset)
        golden.compare("subset_train_logits", some.pairs(regions("train", 8, placed=True)))


def test_numbers_are_those_of_the_official_code():
    numbers_hold()


def with_option(**options):
    return lambda patch: patch.setattr(DualCoOp, "recipe", with_options(DualCoOp.recipe, **options))


def in_module(name, change):
    def apply(patch):
        patch.setattr(dualcoop, name, change)
        patch.setitem(globals(), name, change)

    return apply


def without_mean_row(self, images):
    return SCORES(self, ImageFeatures(images.pooled, images.patches[:, 1:]))


def each_its_own(self, images):
    scores = self.scores(images)
    return self.scale * (scores.softmax(1) * scores).sum(1)


def through_the_powers(pairs, labels, *, power_there=1.0, power_absent=2.0, shift=0.05):
    absent, there = pairs.softmax(1).unbind(1)
    right = torch.where(labels == 1, there, (absent + shift).clamp(max=1))
    factor = (1 - right) ** torch.where(labels == 1, power_there, power_absent)
    return -(factor * right.log() * (labels >= 0)).sum()


LOSS, SCORES, PAIRS = asymmetric_loss, PairedTexts.scores, PairedTexts.pairs
MISTAKES = {
    "the row of the mean left out": lambda patch: patch.setattr(PairedTexts, "scores", without_mean_row),
    "a softmax of its own for the negative": lambda patch: patch.setattr(PairedTexts, "pairs", each_its_own),
    "signs exchanged": lambda patch: patch.setattr(PairedTexts, "pairs", lambda self, x: PAIRS(self, x).flip(1)),
    "equal weights": lambda patch: patch.setattr(
        PairedTexts, "weights", lambda self, r: torch.full_like(r[:, :, 1], 1 / r.shape[1])
    ),
    "no shift": with_option(shift=0.0),
    "another power": with_option(power_absent=4.0),
    "powers exchanged": with_option(power_there=2.0, power_absent=1.0),
    "weight 1": with_option(loss_weight=1.0),
    "unknown is absent": in_module(
        "asymmetric_loss", lambda pairs, labels, **own: LOSS(pairs, labels.clamp(min=0), **own)
    ),
    "a gradient through the powers": in_module("asymmetric_loss", through_the_powers),
}


@pytest.mark.parametrize("mistake", first_two_fast(MISTAKES))
def test_a_mistake_is_seen(mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        numbers_hold()


def test_a_class_without_a_known_label_gives_no_gradient():
    with GoldenFile("dualcoop") as golden:
        classifier = started(golden, "csc_")
        golden.unread.clear()
    labels = torch.tensor([[1, 0, -1]] * 8)
    total = DualCoOp().loss_terms(classifier, regions("train", 8, placed=True), labels)["asymmetric"].sum
    total.backward()
    for parameter in (classifier.positive, classifier.negative):
        assert not parameter.grad[2].any() and parameter.grad[0].any() and parameter.grad[1].any()


def test_the_loss_of_a_batch_in_parts_is_that_of_the_whole():
    random = torch.Generator().manual_seed(3)
    pairs, labels = torch.randn(6, 2, 4, generator=random), torch.randint(-1, 2, (6, 4), generator=random)
    parts = asymmetric_loss(pairs[:2], labels[:2]) + asymmetric_loss(pairs[2:], labels[2:])
    torch.testing.assert_close(parts, asymmetric_loss(pairs, labels))
    assert asymmetric_loss(pairs, torch.full((6, 4), -1)) == 0
