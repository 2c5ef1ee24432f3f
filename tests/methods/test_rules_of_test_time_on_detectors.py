"""CALIP and TPT on every family, against loops in float64; and why other methods of the survey have no such form."""

import math

import pytest
import torch

from baselines.text_prompts.tuned_on_places import doubt, tuned
from cones.data.batches import batch_of
from cones.data.pyramids import split_batch
from cones.evaluation.prediction import one_pass
from cones.methods.method import METHODS, TuningMethod
from cones.methods.prompts import PromptContext
from cones.runtime.errors import ConesError
from tests.methods.on_detectors import EVERYWHERE, heard, made


def normed(vector: torch.Tensor) -> torch.Tensor:
    return vector / vector.norm().clamp(min=1e-12)


@EVERYWHERE
def test_calip_is_its_definition(model_name, data):
    model, way, prompt, samples = made(model_name, "calip", data)
    prompt.beta2.fill_(0.3)
    prompt.beta3.fill_(0.7)
    with torch.no_grad():
        plain = heard(model, prompt, samples[:1])
        places = model.scored_places(plain)
        found = model.scored_places(way.adjust_predictions(model, prompt, plain)).logits[0].double()
    rows = plain.language.class_positions[0]
    texts = [normed(places.texts[0, own].double().mean(0)) for own in rows]
    points = [normed(point) for point in places.features[0].double()]
    affinity = [[2 * (point @ text).item() for text in texts] for point in points]
    of_images = []
    for k in range(3):
        total = sum(math.exp(row[k]) for row in affinity)
        of_images.append(sum(math.exp(row[k]) / total * point for row, point in zip(affinity, points)))
    for number in (0, len(points) // 2, len(points) - 1):
        shares = [math.exp(value) for value in affinity[number]]
        told = sum(share / sum(shares) * text for share, text in zip(shares, texts))
        for k, own in enumerate(rows):
            added = 100 * (0.3 * (points[number] @ of_images[k]) + 0.7 * (told @ texts[k]))
            expected = places.logits[0, number, own].double() + added
            torch.testing.assert_close(found[number, own], expected, rtol=1e-4, atol=1e-3)
    others = ~rows.any(dim=0)
    assert torch.equal(found[:, others], places.logits[0][:, others].double())


def test_the_doubt_is_the_entropy_of_the_surest_places():
    logits = torch.randn(23, 3, generator=torch.Generator().manual_seed(0))
    best = sorted(logits.tolist(), key=max, reverse=True)[:2]  # a tenth of 23, rounded down
    expected = 0.0
    for place in best:
        for logit in place:
            p = 1 / (1 + math.exp(-logit))
            expected -= (p * math.log(p) + (1 - p) * math.log(1 - p)) / 2
    assert doubt(logits, 0.1).item() == pytest.approx(expected, rel=1e-5)
    assert doubt(logits[:3], 0.1).item() > 0, "one place at least"
    logits.requires_grad_()
    p = logits.sigmoid()
    entropies = -(p * p.log() + (1 - p) * (1 - p).log()).sum(1)
    chosen = logits.detach().amax(1).topk(2).indices
    wanted, found = (torch.autograd.grad(one, logits)[0] for one in (entropies[chosen].mean(), doubt(logits, 0.1)))
    torch.testing.assert_close(found, wanted)


@EVERYWHERE
def test_tpt_takes_one_step_towards_sure_answers_and_none_is_its_caption(model_name, data):
    model, way, prompt, samples = made(model_name, "tpt", data)
    model.requires_grad_(False)
    with torch.no_grad():
        pyramid = model.encode_image(batch_of(samples[:1]))
        vectors = tuned(model, prompt, pyramid)
        rate, decay = prompt.rate, prompt.decay
        step = (vectors - prompt.vectors * (1 - rate * decay)).abs()
        assert step.max() == pytest.approx(rate, rel=1e-2), "the first step of Adam has the length of its rate"
        assert prompt.vectors.grad is None
        prompt.steps = 0
        for one, other in zip(way.detect(model, prompt, pyramid), one_pass(model, prompt, pyramid)):
            assert torch.equal(one.boxes, other.boxes) and torch.equal(one.scores, other.scores)


@EVERYWHERE
def test_tpt_starts_afresh_for_each_image_in_any_order(model_name, data):
    model, way, prompt, samples = made(model_name, "tpt", data)
    prompt.rate = 0.5  # so that what is left of another image would show
    before = prompt(PromptContext()).hidden.detach()
    with torch.no_grad():
        pyramid = model.encode_image(batch_of(samples))
        forth = way.detect(model, prompt, pyramid)
        back = [way.detect(model, prompt, image)[0] for image in reversed(split_batch(pyramid))][::-1]
    for one, other in zip(forth, back):
        assert torch.equal(one.boxes, other.boxes) and torch.equal(one.scores, other.scores)
    assert torch.equal(prompt(PromptContext()).hidden, before)


# ------------------------------------------------------------------------------------------------ why others have none


def test_every_method_without_a_form_for_detectors_says_why_in_its_own_words():
    reasons = {
        name: TuningMethod.load(name).supports("glip_t") for name, entry in METHODS.items() if not entry.class_name
    }
    assert all(METHODS[name].not_for_detectors for name in reasons)
    assert len(set(reasons.values())) == len(reasons) >= 15
    with pytest.raises(ConesError, match="a second, self-supervised encoder"):
        TuningMethod.load("svl_adapter").prompt(None, None)


def test_no_method_with_a_form_for_detectors_has_such_a_reason():
    assert not [name for name, entry in METHODS.items() if entry.class_name and entry.not_for_detectors]
