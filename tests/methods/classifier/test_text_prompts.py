"""What holds for every text-prompt method on stored features: what trains, parts of a batch, states that come back."""

import pytest
import torch

from cones.methods.classifier import ClassifierMethod
from cones.methods.method import METHODS
from cones.models.dual_encoder import ImageFeatures
from cones.models.losses import normalised
from tests.golden.reading import GoldenFile
from tests.golden.tiny_clip import LABELS, NAMES
from tests.methods.classifier.golden_words import GoldenTokenizer, prompt_inputs, with_options
from tests.methods.classifier.inputs_of import encodings_at_test, take_steps, tiny_images

# options that keep a method small
SMALL = {
    "coop": {"vectors": 4},
    "kgcoop": {},
    "prograd": {"vectors": 4},
    "subpt": {"vectors": 4, "rank": None},
    "upl": {"vectors": 4, "runs": 1},
    "cocoop": {},
    "plot": {"vectors": 4, "contexts": 2},
    "variational": {"draws": 2},
    "protect": {"vectors": 4, "drop": 0.0},
    "softcpt": {"vectors": 4},
}
PIXELS = ("lasp", "tpt", "plot_pp")
SEVERAL = ("dualcoop", "tai_dpt")  # of several classes a picture: test_several_classes.py
TREE = {"living": {"cat": None, "white blood cell": None}, "toy car": None}
# terms over what a batch happens to hold are no sums over images
WHOLE_BATCH = ("protect",)


def made(name: str, seed: int = 0, **own):
    """(method, classifier, images); patches are the pooled features of other images."""
    method = ClassifierMethod.load(name)
    words = GoldenTokenizer(NAMES, GoldenFile("coop")["tokens4"], before=4)
    words.phrases["living"] = [2368, 2368]
    given = prompt_inputs(
        words,
        recipe=with_options(method.recipe, **SMALL[name], **own),
        tree=TREE,
        dataset="living",
        generator=torch.Generator().manual_seed(seed),
    )
    pooled = tiny_images("train", 8)
    images = ImageFeatures(pooled, torch.stack([pooled.roll(shift, 0) for shift in range(3)], 1))
    classifier = method.classifier(given)
    return method, classifier.runs[0] if name == "upl" else classifier, images


def trained_of(classifier):
    return {name: value for name, value in classifier.named_parameters() if value.requires_grad}


def test_every_text_prompt_method_is_tried_here():
    known = {name for name, entry in METHODS.items() if entry.module.startswith("baselines.text_prompts.")}
    known -= {"denseclip"}  # its answers are maps: test_denseclip.py
    assert known == {*SMALL, *PIXELS, *SEVERAL}


@pytest.mark.parametrize("name", SMALL)
def test_the_start_is_drawn_from_the_generator_it_is_given_alone(name):
    starts = []
    for elsewhere in (1, 2):  # what others have drawn from PyTorch's own generator
        torch.manual_seed(elsewhere)
        starts.append(trained_of(made(name)[1]))
    first, second = starts
    assert [key for key in first if not torch.equal(first[key], second[key])] == []


@pytest.mark.parametrize("name", SMALL)
def test_no_weight_of_the_model_trains_and_what_trains_lowers_the_loss(name):
    method, classifier, images = made(name)
    assert trained_of(classifier) and not any("encoder" in key for key in trained_of(classifier))
    assert not any(module.training for module in classifier.train().texts.modules())
    torch.manual_seed(0)
    if name == "variational":
        classifier.posterior.log_variance.data.fill_(-8.0)
    steps = take_steps(method, classifier, images, LABELS, method.recipe.model_copy(update={"learning_rate": 5e-3}), 6)
    assert steps.losses[-1] < steps.losses[0]


@pytest.mark.parametrize("name", [name for name in SMALL if name not in WHOLE_BATCH])
def test_a_batch_in_parts_has_the_loss_of_the_whole(name, monkeypatch):
    method, classifier, images = made(name)
    if name == "variational":
        monkeypatch.setattr(torch, "randn", lambda shape: torch.full(shape, 0.3))
    if name == "plot":  # all images of a batch stop together
        monkeypatch.setattr("baselines.text_prompts.plot.transport_plan", lambda cost: (torch.ones_like(cost), []))
    with torch.no_grad():
        whole = method.loss_terms(classifier, images, LABELS)
        normalisers = {term: value.normaliser for term, value in whole.items()}
        found = dict.fromkeys(whole, 0.0)
        for rows in (slice(0, 3), slice(3, 8)):
            for term, value in normalised(
                method.loss_terms(classifier, images[rows], LABELS[rows]), normalisers
            ).items():
                found[term] += value.item()
    for term, value in normalised(whole).items():
        assert found[term] == pytest.approx(value.item(), rel=1e-5), term


@pytest.mark.parametrize("name", SMALL)
def test_what_was_trained_comes_back_from_a_state_without_the_model(name):
    method, classifier, images = made(name)
    take_steps(method, classifier, images, LABELS, method.recipe, 2)
    frozen = {value.data_ptr() for value in classifier.texts.encoder.parameters()}
    frozen |= {value.data_ptr() for value in classifier.texts.encoder.buffers()}
    state = {key: value for key, value in classifier.state_dict().items() if value.data_ptr() not in frozen}
    assert state.keys() >= trained_of(classifier).keys() and len(state) <= 11
    again = made(name, seed=9)[1]
    assert not again.load_state_dict(state, strict=False).unexpected_keys
    assert torch.equal(again(images), classifier(images))


@pytest.mark.parametrize(("name", "own"), [*((name, {}) for name in SMALL), ("variational", {"posterior": "image"})])
def test_texts_that_see_no_image_are_made_once_at_test(name, own, monkeypatch):
    """And the answers are those of texts that are made anew."""
    (_, classifier, images), (_, again, _) = made(name, **own), made(name, **own)
    sees_images = name == "cocoop" or bool(own)
    assert classifier.keeps_texts != sees_images
    with torch.no_grad():
        expected = again.eval()(images[4:])
    first, second, third = encodings_at_test(
        monkeypatch, classifier.texts.encoder, classifier, images[:4], images[4:], images
    )
    assert first > 0 and (second == third == 0) != sees_images
    with torch.no_grad():
        assert torch.equal(classifier(images[4:]), expected)
        for value in trained_of(classifier).values():
            value.add_(0.1)
        assert not torch.equal(classifier(images[4:]), expected)
