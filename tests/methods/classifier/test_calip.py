"""CALIP by its definition, and by what FORMAT says of the official code's numbers (their file is not at hand)."""

import pytest
import torch

from baselines.training_free import calip
from baselines.training_free.calip import CALIP, ParameterFreeAttention
from cones.methods.classifier import Recipe
from cones.models.dual_encoder import ImageFeatures, scaled_cosines, unit
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import TINY_RN, TINY_VIT, golden_clip, golden_images
from tests.methods.classifier.inputs_of import inputs_of, labelled

# FORMAT-D: the change of the total logits at (beta2 120, beta3 80) of the grid, in their deviations, by each mistake
SEEN = {
    "temperature 1": (0.007, 0.085),
    "the pooled row is a position": (4e-5, 0.29),
    "no greatest value": (0.96, 0.26),
    "softmax axes exchanged": (12, 24),
}


def other_parts(classifier: ParameterFreeAttention, images: ImageFeatures, mistake: str | None = None):
    """The visual and text side by loops over images and classes, in double precision, right or with a mistake."""
    text = classifier.text.double()
    visual, textual = torch.zeros(len(images), len(text)), torch.zeros(len(images), len(text))
    for number in range(len(images)):
        pooled, rows = unit(images.pooled[number].double()), unit(images.patches[number].double())
        if mistake == "the pooled row is a position":
            rows = torch.cat([pooled[None], rows])
        affinity = (1 if mistake == "temperature 1" else 2) * rows @ text.T
        over_positions, over_classes = (1, 0) if mistake == "softmax axes exchanged" else (0, 1)
        for k in range(len(text)):
            seen = sum(weight * row for weight, row in zip(affinity.softmax(over_positions)[:, k], rows))
            visual[number, k] = 100 * (pooled * seen).sum()
        told = torch.stack([weights @ text for weights in affinity.softmax(over_classes)])
        told = told.mean(0) + (0 if mistake == "no greatest value" else told.max(0).values)
        textual[number] = 100 * text @ told
    return visual, textual


@torch.no_grad()
def tiny(sizes, side: int, text_of) -> tuple[ParameterFreeAttention, ImageFeatures]:
    images = golden_clip(sizes).encode_image(golden_images("test", 6, side), patches=True)
    classifier = CALIP().classifier(inputs_of(text_of, images, torch.zeros(6).long()))
    return classifier, images


@pytest.fixture(scope="module", params=["resnet", "vit"])
def model(request):
    with GoldenFile("clip_vit") as golden:
        text = golden["text"]
        golden.unread.clear()
    sizes, side = (TINY_RN, 64) if request.param == "resnet" else (TINY_VIT, 32)
    return request.param, *tiny(sizes, side, text)


def total(plain, visual, textual):
    beta2, beta3 = calip.grid(2.0, 200)[120], calip.grid(0.1, 200)[80]
    return plain + beta2 * visual + beta3 * textual


@torch.no_grad()
def test_both_sides_are_those_of_the_definition(model):
    kind, classifier, images = model
    plain, visual, textual = classifier.parts(images)
    expected = other_parts(classifier, images)
    torch.testing.assert_close(visual, expected[0], rtol=0, atol=2e-4)
    torch.testing.assert_close(textual, expected[1], rtol=0, atol=2e-4)
    if kind == "resnet":  # FORMAT-D: all positions of an image nearly point the same way
        torch.testing.assert_close(visual, torch.full_like(visual, 99.9995), rtol=0, atol=2e-3)
    classifier.beta2.fill_(0.5)
    classifier.beta3.fill_(0.25)
    torch.testing.assert_close(classifier(images), plain + 0.5 * visual + 0.25 * textual)
    classifier.beta2.zero_(), classifier.beta3.zero_()


@torch.no_grad()
@pytest.mark.parametrize("mistake", SEEN)
def test_mistakes_are_as_large_as_in_the_official_code(model, mistake):
    """What each mistake changes is told in FORMAT in numbers: that they come out is evidence for the whole of it."""
    kind, classifier, images = model
    parts = classifier.parts(images)
    right = total(*parts)
    change = (total(parts[0], *other_parts(classifier, images, mistake)) - right).abs().max() / right.std()
    expected = SEEN[mistake][0 if kind == "resnet" else 1]
    if expected > 1e-3:
        assert change.item() == pytest.approx(expected, rel=0.07)
    else:
        assert change < 2e-3


def test_zero_shot_without_validation_and_the_first_best_with_it():
    torch.manual_seed(0)
    images, text = ImageFeatures(torch.randn(30, 16), torch.randn(30, 4, 16)), torch.randn(3, 16)
    labels = torch.arange(30) % 3
    method = CALIP()
    given = inputs_of(text, images, labels, recipe=Recipe(options={"steps": 20, "max_beta3": 0.5}))
    classifier = method.classifier(given)
    assert method.fit(classifier, given, tune=None) is None
    torch.testing.assert_close(classifier(images), scaled_cosines(images.pooled, text, 100.0))
    given.val = labelled(images, labels)
    found = method.fit(classifier, given, tune=None)
    parts = classifier.parts(images)
    best = (-1, None)
    for beta2 in calip.grid(2.0, 20):
        for beta3 in calip.grid(0.5, 20):
            right = int((parts[0] + beta2 * parts[1] + beta3 * parts[2]).argmax(1).eq(labels).sum())
            best = max(best, (right, (beta2, beta3)), key=lambda one: one[0])
    assert (found.taken["beta2"], found.taken["beta3"]) == best[1]
    assert max(tried["accuracy"] for tried in found.tried) == pytest.approx(100 * best[0] / 30, abs=1e-3)
    other = method.for_classes(classifier, inputs_of(text.flip(0), images, labels))
    torch.testing.assert_close(other(images), classifier(images).flip(1))
    assert other.beta2.item() == pytest.approx(best[1][0])
