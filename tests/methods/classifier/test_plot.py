"""PLOT equals the official code; its plan has the marginals it should have."""

import functools

import pytest
import torch

from baselines.text_prompts import plot
from baselines.text_prompts.plot import PLOT, TransportedTexts, transport_plan
from cones.models.dual_encoder import ImageFeatures, unit
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import LABELS, NAMES, TINY_RN, golden_clip, golden_images
from tests.methods.classifier.golden_words import GoldenTokenizer, golden_vectors, prompt_inputs, with_options
from tests.methods.classifier.inputs_of import take_steps
from tests.some_fast import first_two_fast


@functools.cache
def resnet():
    return golden_clip(TINY_RN)


@functools.cache
def seen(tag: str, count: int) -> ImageFeatures:
    with torch.no_grad():
        return resnet().encode_image(golden_images(tag, count, 64), patches=True)


def started(golden: GoldenFile, **options) -> TransportedTexts:
    words = GoldenTokenizer(NAMES, golden["input/tokens"], before=16)
    given = prompt_inputs(words, encoder=resnet(), train=seen("train", 8), recipe=with_options(PLOT.recipe, **options))
    classifier = PLOT().classifier(given)
    assert classifier.context.shape == (4, 16, 128) and classifier.context.std().item() == pytest.approx(0.02, rel=0.1)
    classifier.context.data.copy_(golden_vectors("plot/ctx", (4, 16, 128), 0.2))
    return classifier


def plan_holds(golden: GoldenFile, split: str, images: ImageFeatures, texts: torch.Tensor) -> None:
    cost = 1 - torch.einsum("bpd,nkd->bkpn", unit(images.patches), unit(texts))
    if split == "train":
        golden.compare("mid/cost_train", cost)
    plan, changes = transport_plan(cost)
    # nearly constant: its spread is 4e-5
    torch.testing.assert_close(plan, golden[f"mid/plan_{split}"], rtol=0, atol=1e-6)
    assert len(changes) == golden[f"mid/sinkhorn_iterations_{split}"]
    golden.compare(f"mid/sinkhorn_errors_{split}", torch.tensor(changes), within=1e-3)


def pictures_hold(golden: GoldenFile) -> None:
    method, classifier = PLOT(), started(golden)
    texts, train, test = classifier.class_texts().detach(), seen("train", 8), seen("test", 6)
    golden.compare("mid/text_features", texts)
    for split, images in (("train", train), ("test", test)):
        tokens = torch.cat([images.pooled[None], images.patches.transpose(0, 1)])
        golden.compare(f"mid/image_tokens_{split}", tokens)
        golden.compare(f"start/logits_{split}", classifier(images))
        plan_holds(golden, split, images, texts)
    golden.compare("start/logits_test_first_image_alone", classifier(test[:1]))
    alone = transport_plan(1 - torch.einsum("bpd,nkd->bkpn", unit(test.patches[:1]), unit(texts)))[1]
    assert len(alone) == golden["mid/sinkhorn_iterations_test_first_alone"]
    start = classifier.context.detach().clone()
    steps = take_steps(method, classifier, train, LABELS, method.recipe)
    golden.compare("loss/ce", torch.tensor(steps.losses[0]), within=1e-5)
    golden.compare("grad/ctx", steps.gradients[0]["context"], within=1e-3)
    torch.testing.assert_close(torch.tensor(steps.losses), golden["steps/losses"], rtol=1e-5, atol=0)
    golden.compare("steps/ctx_3_minus_start", steps.parameters[2]["context"] - start, within=5e-2)
    golden.compare("steps/logits_test_3", classifier(test))
    with_pooled = started(golden, pooled=True)
    golden.compare("imagenet/logits_test", with_pooled(test))
    steps = take_steps(method, with_pooled, train, LABELS, method.recipe, 1)
    golden.compare("imagenet/ce", torch.tensor(steps.losses[0]), within=1e-5)
    golden.compare("imagenet/grad_ctx", steps.gradients[0]["context"], within=1e-3)


def made_up_hold(golden: GoldenFile) -> None:
    """Features that differ, given to both."""
    tokens, texts = golden["synthetic/image_tokens"], golden["synthetic/text_features"].requires_grad_()
    images = ImageFeatures(tokens[0], tokens[1:].transpose(0, 1))
    classifier = started(golden)
    logits = classifier.compare(images, texts)
    golden.compare("synthetic/logits", logits)
    plan, changes = transport_plan(1 - torch.einsum("bpd,nkd->bkpn", unit(images.patches), unit(texts)))
    golden.compare("synthetic/plan", plan)
    golden.compare("synthetic/errors", torch.tensor(changes))
    assert len(changes) == golden["synthetic/iterations"]
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 0]))
    golden.compare("synthetic/ce", loss, within=1e-5)
    golden.compare("synthetic/grad_text_features", torch.autograd.grad(loss, texts)[0], within=1e-3)
    alone = [classifier.compare(images[row : row + 1], texts) for row in range(4)]
    golden.compare("synthetic/logits_one_by_one", torch.cat(alone))
    counts = [len(transport_plan(1 - torch.einsum("pd,nkd->kpn", unit(one), unit(texts)))[1]) for one in images.patches]
    assert counts == golden["synthetic/iterations_one_by_one"].tolist()


def numbers_hold() -> None:
    with GoldenFile("plot") as golden:
        made_up_hold(golden)
        pictures_hold(golden)


def test_numbers_are_those_of_the_official_code():
    numbers_hold()


def with_plan(**changes):
    return lambda patch: patch.setattr(plot, "transport_plan", lambda cost: transport_plan(cost, **changes))


def uniform(cost):
    return torch.full_like(cost, 1 / cost.shape[-1] / cost.shape[-2]), []


def through_the_plan(cost):
    return transport_plan.__wrapped__(cost)


def with_token_zero(self, images, texts):
    images = ImageFeatures(images.pooled, torch.cat([images.pooled[:, None], images.patches], 1))
    return COMPARE(self, images, texts)


def of_unit_prompts(self, images, texts):
    self.pooled, pooled = False, self.pooled
    logits = COMPARE(self, images, texts)
    self.pooled = pooled
    mean = unit(texts).mean(0)
    return logits + (self.scale * unit(images.pooled) @ unit(mean).T if pooled else 0)


COMPARE = TransportedTexts.compare
MISTAKES = {
    "the pooled feature is a position too": lambda patch: patch.setattr(TransportedTexts, "compare", with_token_zero),
    "another sharpness": with_plan(sharpness=0.01),
    "one step": with_plan(most=1),
    "no early stop": with_plan(tolerance=0.0),
    "a uniform plan": lambda patch: patch.setattr(plot, "transport_plan", uniform),
    "a gradient through the plan": lambda patch: patch.setattr(plot, "transport_plan", through_the_plan),
    "the mean of unit texts": lambda patch: patch.setattr(TransportedTexts, "compare", of_unit_prompts),
}


@pytest.mark.parametrize("mistake", first_two_fast(MISTAKES))
def test_a_mistake_is_seen(mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        numbers_hold()


def test_a_plan_has_its_marginals_and_prefers_what_is_near():
    cost = torch.rand(2, 3, 9, 4, generator=torch.Generator().manual_seed(0))
    plan, changes = transport_plan(cost)
    torch.testing.assert_close(plan.sum(-2), torch.full((2, 3, 4), 1 / 4))
    # rows are exact only where the steps go on
    assert (plan.sum(-1) - 1 / 9).abs().max() < 0.03 and changes[-1] < 0.01 <= changes[-2]
    exact = transport_plan(cost, tolerance=1e-7, most=2000)[0]
    torch.testing.assert_close(exact.sum(-1), torch.full((2, 3, 9), 1 / 9), rtol=0, atol=1e-5)
    assert (plan * cost).sum((-1, -2)).max() < cost.mean()


def test_other_classes_share_the_contexts():
    golden = GoldenFile("plot")
    classifier, test = started(golden), seen("test", 6)
    words = GoldenTokenizer(NAMES, golden["input/tokens"], before=16)
    given = prompt_inputs(words, names=("toy car", "cat", "white blood cell"), encoder=resnet(), recipe=PLOT.recipe)
    other = PLOT().for_classes(classifier, given)
    torch.testing.assert_close(other(test), classifier(test)[:, [1, 0, 2]])
