"""ProGrad, by FORMAT-A's definition (A.5) computed again in float64; the two cosines that FORMAT names."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from baselines.text_prompts import prograd
from baselines.text_prompts.prograd import ProGrad, without_part_against
from cones.methods.classifier import ClassifierMethod
from cones.models.dual_encoder import ImageFeatures
from tests.golden import clip_in_float64
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import LABELS, NAMES
from tests.methods.classifier.golden_words import GoldenTokenizer, golden_vectors, prompt_inputs, with_options
from tests.methods.classifier.inputs_of import take_steps, tiny_images

# number of the start, lambda, temperature, cosine of the two gradients as FORMAT has it
CASES = {
    "conflict": (4, 1.0, 1.0, -0.253),
    "aligned": (10, 1.0, 1.0, 0.741),
    "lambda_half": (4, 0.5, 1.0, -0.253),
    "temp2": (4, 1.0, 2.0, None),
}


def tokenizer():
    return GoldenTokenizer(NAMES, GoldenFile("coop")["tokens4"], before=4)


def start_of(case: str) -> Tensor:
    return golden_vectors(f"prograd/ctx{CASES[case][0]}", (4, 128), 0.1)


@dataclass
class Defined:
    """A.5 in float64: what the losses of M = 4 vectors and their gradients are, and three steps of Dassl's SGD."""

    share: float
    temperature: float

    def __post_init__(self):
        golden = GoldenFile("coop")
        self.ids, self.images = golden["tokens4"], golden["img_train"].double()
        words = golden["tokens_words"]
        self.teacher = clip_in_float64.text_features(clip_in_float64.words(words[:, :12]), words.argmax(1))

    def logits(self, texts: Tensor) -> Tensor:
        images, texts = (rows / rows.square().sum(-1, keepdim=True).sqrt() for rows in (self.images, texts))
        return 10.0 * images @ texts.T

    def losses(self, context: Tensor) -> tuple[Tensor, Tensor]:
        rows = clip_in_float64.words(self.ids[:, :12])
        rows = torch.cat([rows[:, :1], context.expand(3, 4, 128), rows[:, 5:]], 1)
        z = self.logits(clip_in_float64.text_features(rows, self.ids.argmax(1)))
        hard = -(z - z.logsumexp(-1, keepdim=True))[torch.arange(8), LABELS].mean()
        taught = (self.logits(self.teacher) / self.temperature).softmax(-1)
        soft = z / self.temperature
        soft = -(taught * (soft - soft.logsumexp(-1, keepdim=True))).sum(-1).mean()
        return hard, self.temperature**2 * soft

    def gradients(self, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """a, b and what is used."""
        context = context.detach().requires_grad_()
        hard, soft = self.losses(context)
        b = torch.autograd.grad(soft, context, retain_graph=True)[0]
        a = torch.autograd.grad(hard, context)[0]
        direction = b / b.norm()
        along = (a * direction).sum()
        return a, b, a - self.share * along * direction if along < 0 else a

    def steps(self, context: Tensor) -> Tensor:
        """What three steps change."""
        start = context = context.double()
        moment = None
        for _ in range(3):
            gradient = self.gradients(context)[2] + 5e-4 * context
            moment = gradient if moment is None else 0.9 * moment + gradient
            context = context - 2e-3 * moment
        return context - start


def is_near(found: Tensor, expected: Tensor, within: float) -> None:
    """Tolerances in standard deviations, as FORMAT has them."""
    distance = ((found.double() - expected).abs().max() / expected.std(correction=0)).item()
    assert distance <= within, distance


def case_holds(case: str) -> None:
    _, share, temperature, cosine = CASES[case]
    defined, start, method = Defined(share, temperature), start_of(case), ProGrad()
    recipe = with_options(method.recipe, vectors=4, share=share, temperature=temperature)
    given = prompt_inputs(tokenizer(), recipe=recipe)
    classifier = method.classifier(given)
    classifier.context.data.copy_(start)
    hard, soft, used = defined.gradients(start.double())
    if cosine is not None:
        assert torch.cosine_similarity(hard.flatten(), soft.flatten(), 0).item() == pytest.approx(cosine, abs=1e-3)
    losses = method.loss_terms(classifier, given.train.features, LABELS)
    for term, expected in zip(losses.values(), defined.losses(start.double()), strict=True):
        torch.testing.assert_close(term.sum.double() / 8, expected, rtol=1e-5, atol=0)
    steps = take_steps(method, classifier, given.train.features, LABELS, method.recipe)
    is_near(steps.gradients[0]["context"], used, 1e-3)
    is_near(steps.parameters[2]["context"] - start, defined.steps(start), 2.6e-3)


@pytest.mark.parametrize("case", CASES)
def test_numbers_are_those_of_the_definition(case):
    case_holds(case)


def exchanged(gradient, other, share):
    product = (gradient * other).sum()
    return other - share * product / gradient.square().sum() * gradient if product < 0 else gradient


def not_unit(gradient, other, share):
    product = (gradient * other).sum()
    return gradient - share * product * other if product < 0 else gradient


RULES = {
    "no projection": lambda gradient, other, share: gradient,
    "half of it": lambda gradient, other, share: without_part_against(gradient, other, share / 2),
    "the direction is not unit": not_unit,
    "roles exchanged": exchanged,
    "the losses are added": lambda gradient, other, share: gradient + other,
}


@pytest.mark.parametrize("mistake", RULES)
def test_a_mistake_is_seen(mistake, monkeypatch):
    monkeypatch.setattr(prograd, "without_part_against", RULES[mistake])
    with pytest.raises(AssertionError):
        case_holds("conflict")


def test_the_temperature_is_squared(monkeypatch):
    right = prograd.ContextWithTeacher.disagreement
    monkeypatch.setattr(
        prograd.ContextWithTeacher, "disagreement", lambda self, *given: right(self, *given) / self.temperature
    )
    with pytest.raises(AssertionError):
        case_holds("temp2")


def test_the_step_never_raises_the_zero_shot_loss_to_first_order():
    method, given = ProGrad(), prompt_inputs(tokenizer(), recipe=with_options(ProGrad.recipe, vectors=4))
    classifier, opposed = method.classifier(given), 0
    trained = {"context": classifier.context}
    for number in range(12):
        classifier.context.data.copy_(golden_vectors(f"prograd/ctx{number}", (4, 128), 0.1))
        terms = method.loss_terms(classifier, given.train.features, LABELS)
        classifier.context.grad, taught = (
            torch.autograd.grad(term.sum, classifier.context, retain_graph=True)[0] for term in terms.values()
        )
        opposed += bool((classifier.context.grad * taught).sum() < 0)
        method.adjust_gradients(classifier, {"teacher": {"context": taught}})
        size = classifier.context.grad.norm() * taught.norm()
        assert (trained["context"].grad * taught).sum() >= -1e-6 * size
    assert opposed


def test_the_start_is_zeros_and_the_words_of_the_template():
    images = ImageFeatures(tiny_images("test", 6))
    given = prompt_inputs(tokenizer(), recipe=with_options(ProGrad.recipe, vectors=4))
    zero_shot = ClassifierMethod.load("zero_shot").classifier(given)(images)
    assert torch.equal(ProGrad().classifier(given)(images), zero_shot)
    given.recipe = ProGrad.recipe
    sixteen = ProGrad().classifier(given)
    assert not sixteen.context[:12].any() and sixteen.context[12:].all()
    golden = GoldenFile("coop")
    ids, words = golden["tokens16"], golden["words.ctx0"].double()
    rows = clip_in_float64.words(ids[:, :24])
    rows = torch.cat([rows[:, :1], torch.zeros(3, 12, 128), words.expand(3, -1, -1), rows[:, 17:]], 1)
    is_near(sixteen.class_texts(), clip_in_float64.text_features(rows, ids.argmax(1)), 1e-4)
    # zeros are real tokens
    assert (sixteen(images) - zero_shot).abs().max() > 2.5 * zero_shot.std(correction=0)
