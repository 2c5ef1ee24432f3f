"""Methods where a picture may show several classes: only known labels teach."""

import math

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from baselines.text_prompts.tai_dpt import tokens_of
from cones.methods.classifier import ClassifierMethod, Recipe
from cones.methods.known_labels import known_pairs
from cones.methods.method import METHODS
from cones.models.dual_encoder import ImageFeatures
from cones.models.losses import normalised
from tests.golden.reading import FOLDER
from tests.golden.tiny_clip import NAMES
from tests.methods.classifier.golden_words import GoldenTokenizer, prompt_inputs
from tests.methods.classifier.inputs_of import encodings_at_test, inputs_of, labelled, take_steps
from tests.methods.classifier.regions_of import regions, resnet

CLASSES, WIDTH = 4, 16
SERVING = ["zero_shot", "zero_shot_ensemble", "linear_probing", "taskres", "cones", "dualcoop", "tai_dpt"]


def test_which_methods_have_a_form_for_it():
    serving = [name for name, entry in METHODS.items() if entry.classifier and is_served(name)]
    assert sorted(serving) == sorted(SERVING)


def is_served(name):
    return "multi_label" in ClassifierMethod.load(name).serves


def test_the_loss_by_its_definition():
    random = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(8, 5, generator=random).double(), torch.randint(-1, 2, (8, 5), generator=random)
    expected = 0.0
    for row, known in zip(logits.tolist(), labels.tolist()):
        pairs = [row[i] - row[j] for i in range(5) for j in range(5) if known[i] == 0 and known[j] == 1]
        expected += math.log(1 + sum(map(math.exp, pairs))) if pairs else 0.0
    term = known_pairs(logits, labels)
    assert term.sum.item() == pytest.approx(expected) and term.normaliser == 8


def test_with_one_class_a_picture_it_is_the_cross_entropy():
    random = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(8, 5, generator=random), torch.arange(8) % 5
    term = known_pairs(logits, F.one_hot(labels, 5))
    torch.testing.assert_close(term.sum / term.normaliser, F.cross_entropy(logits, labels))


def test_what_nobody_knows_has_no_gradient():
    logits = torch.randn(4, 3, requires_grad=True)
    labels = torch.tensor([[1, 0, -1], [1, 1, 1], [0, 0, -1], [-1, -1, -1]])
    known_pairs(logits, labels).sum.backward()
    assert logits.grad.isfinite().all()
    assert not logits.grad[1:].any() and not logits.grad[:, 2].any() and logits.grad[0, :2].all()


@pytest.fixture(scope="module")
def world():
    """(images, labels, texts): 60 images, each of whose features is the sum of its classes' directions."""
    random = torch.Generator().manual_seed(1)
    text = torch.randn(CLASSES, WIDTH, generator=random)
    labels = (torch.rand(60, CLASSES, generator=random) < 0.4).long()
    hidden = torch.randn(CLASSES, WIDTH, generator=random)
    pooled = labels.float() @ hidden + 0.3 * torch.randn(60, WIDTH, generator=random)
    return ImageFeatures(pooled), labels, text


def given_of(world, labels, **others):
    images, _, text = world
    return inputs_of(text, images, labels, recipe=Recipe(), **others)


@pytest.mark.parametrize("name", ["taskres", "cones"])
def test_training_lowers_the_loss_and_unknown_labels_change_nothing(name, world):
    images, labels, _ = world
    method = ClassifierMethod.load(name)
    hidden = torch.where(torch.rand(labels.shape, generator=torch.Generator().manual_seed(2)) < 0.5, labels, -1)
    rows = ((hidden == 1).any(1) & (hidden == 0).any(1)).nonzero().flatten()
    losses = []
    for some in (slice(None), rows):  # images without a known pair teach nothing
        classifier = method.classifier(given_of(world, hidden))
        term = method.loss_terms(classifier, images[some], hidden[some])["known_pairs"]
        losses.append(term.sum.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-5) and len(rows) < 60
    classifier = method.classifier(given_of(world, hidden))
    steps = take_steps(method, classifier, images, hidden, method.recipe, 5)
    assert steps.losses[-1] < steps.losses[0]
    whole = method.loss_terms(classifier, images, hidden)
    shared = {key: value.normaliser for key, value in whole.items()}
    parts = [slice(0, 25), slice(25, 60)]
    total = sum(
        sum(normalised(method.loss_terms(classifier, images[p], hidden[p]), shared).values()).item() for p in parts
    )
    assert total == pytest.approx(sum(normalised(whole).values()).item(), rel=1e-5)


def test_a_probe_of_each_class_reads_its_known_labels_alone(world):
    images, labels, _ = world
    method = ClassifierMethod.load("linear_probing")
    known = labels.clone()
    known[:40, 0] = -1  # nobody knows of the first class in most images
    known[:, 3] = -1  # nor of the last in any
    fitted = []
    for changed in (images, ImageFeatures(torch.cat([images.pooled[:40] + 5, images.pooled[40:]]))):
        given = inputs_of(world[2], changed, known, val=labelled(images, labels))
        classifier = method.classifier(given)
        fitted.append((classifier, method.fit(classifier, given, None)))
    (one, choice), (other, _) = fitted
    assert not one.weight[3].any() and one.bias[3] == 0
    assert {"C", "mean_ap"} == set(choice.tried[0]) and len(choice.tried) == 7
    best = max(choice.tried, key=lambda tried: tried["mean_ap"])
    assert choice.taken["C"] == best["C"] and best["mean_ap"] > 60
    assert not torch.allclose(one.weight[1], other.weight[1])
    without = given_of(world, known)
    classifier = method.classifier(without)
    assert method.fit(classifier, without, None) is None and classifier.weight[0].any()
    again = method.classifier(without)
    moved = inputs_of(world[2], ImageFeatures(torch.cat([images.pooled[:40] + 5, images.pooled[40:]])), known)
    method.fit(again, moved, None)
    assert torch.equal(again.weight[0], classifier.weight[0]) and not torch.equal(again.weight[1], classifier.weight[1])


def prompted(name, seed=0):
    """(method, classifier, what it trains on, labels) of a method whose vectors stand among words, on the golden
    model: half of the labels are known; TaI-DPT trains on captions."""
    ids = torch.from_numpy(np.load(FOLDER / "taidpt.npz")["prompt_token_ids"]).long()
    method, words = ClassifierMethod.load(name), GoldenTokenizer(NAMES, ids, before=16)
    train = regions("train", 8, placed=name == "dualcoop")
    generator = torch.Generator().manual_seed(seed)
    given = prompt_inputs(words, encoder=resnet(), train=train, recipe=method.recipe, generator=generator)
    if name == "dualcoop":
        return method, method.classifier(given), train, torch.tensor([[1, 0, -1], [0, 1, 1]]).repeat(4, 1)
    captions = tokens_of(words, ["a photo of a cat.", "toy car.", "cat toy car.", "white blood cell."])
    return method, method.classifier(given), captions, torch.tensor([[1, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1]])


def trained_of(classifier):
    return {name: value for name, value in classifier.named_parameters() if value.requires_grad}


@pytest.mark.parametrize("name", ["dualcoop", "tai_dpt"])
def test_contexts_start_from_the_generator_alone_and_no_weight_of_the_model_trains(name):
    starts = []
    for elsewhere in (1, 2):  # what others have drawn from PyTorch's own generator
        torch.manual_seed(elsewhere)
        starts.append(trained_of(prompted(name)[1]))
    first, second = starts
    assert len(first) == 2 and all(torch.equal(first[key], second[key]) for key in first)
    method, classifier, images, labels = prompted(name)
    steps = take_steps(method, classifier, images, labels, method.recipe, 4)
    assert steps.losses[-1] < steps.losses[0] and set(trained_of(classifier)) == set(first)


@pytest.mark.parametrize("name", ["dualcoop", "tai_dpt"])
def test_a_batch_in_parts_has_the_loss_of_the_whole(name):
    method, classifier, images, labels = prompted(name)
    whole = method.loss_terms(classifier, images, labels)
    shared, half = {term: value.normaliser for term, value in whole.items()}, len(labels) // 2
    parts = [
        sum(normalised(method.loss_terms(classifier, images[rows], labels[rows]), shared).values()).item()
        for rows in (slice(0, half), slice(half, len(labels)))
    ]
    assert sum(parts) == pytest.approx(sum(normalised(whole).values()).item(), rel=1e-5)


@pytest.mark.parametrize("name", ["dualcoop", "tai_dpt"])
def test_contexts_come_back_from_their_state_and_classes_may_stand_in_any_order(name):
    method, classifier, images, labels = prompted(name)
    take_steps(method, classifier, images, labels, method.recipe, 2)
    test = regions("test", 6, placed=name == "dualcoop")
    again = prompted(name, seed=9)[1]
    assert not torch.equal(again(test), classifier(test))
    again.load_state_dict(trained_of(classifier), strict=False)
    assert torch.equal(again(test), classifier(test))
    ids = torch.from_numpy(np.load(FOLDER / "taidpt.npz")["prompt_token_ids"]).long()
    names = [NAMES[place] for place in (2, 0)]
    given = prompt_inputs(GoldenTokenizer(NAMES, ids, before=16), names=names, encoder=resnet(), recipe=method.recipe)
    torch.testing.assert_close(method.for_classes(classifier, given)(test), classifier(test)[:, [2, 0]])


@pytest.mark.parametrize("name", ["dualcoop", "tai_dpt"])
def test_class_texts_are_made_once_at_test(name, monkeypatch):
    classifier, test = prompted(name)[1], regions("test", 6, placed=name == "dualcoop")
    with torch.no_grad():
        expected = prompted(name)[1].eval()(test[3:])
    first, second = encodings_at_test(monkeypatch, resnet(), classifier, test[:3], test[3:])
    assert classifier.keeps_texts and first > 0 and second == 0
    with torch.no_grad():
        assert torch.equal(classifier(test[3:]), expected)
