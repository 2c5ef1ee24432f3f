"""DualCoOp on every family of detectors: its logit, where it starts, and what its negative caption takes part in."""

from functools import partial

import pytest
import torch

from cones.data.batches import Split
from cones.data.pyramids import LivePyramids
from cones.methods.method import TuningMethod
from cones.models.language import ClassPhrase
from cones.runtime.errors import ConesError
from cones.training.images import training_images
from tests.methods.on_detectors import EVERYWHERE, heard, made
from tests.methods.one_step import prompt_inputs_for


@EVERYWHERE
def test_a_logit_is_the_positive_one_minus_the_negative_one_piece_by_piece(model_name, data):
    model, way, prompt, samples = made(model_name, "dualcoop", data)
    prompt.weight = 0.7
    prompt.usual.fill_(-1.5)
    with torch.no_grad():
        plain = heard(model, prompt, samples[:2])
        changed = way.adjust_predictions(model, prompt, plain)
        before, after = (model.scored_places(one).logits.double() for one in (plain, changed))
    rows, both = prompt.rows, plain.language.class_positions
    assert both.shape[2] == 2 * rows
    expected = before.clone()
    for image, positions in enumerate(both):
        for row in positions.any(0)[:rows].nonzero().flatten().tolist():
            away = before[image, :, row + rows] + 1.5
            expected[image, :, row] = before[image, :, row] - 0.7 * away
    torch.testing.assert_close(after, expected, rtol=1e-5, atol=1e-5)
    own = changed.language
    assert torch.equal(own.class_positions[:, :, :rows], both[:, :, :rows]) and own.class_positions.any(2).all()
    assert not own.class_positions[:, :, rows:].any() and not own.mask[:, rows:].any()
    assert torch.equal(own.mask[:, :rows], plain.language.mask[:, :rows])


@EVERYWHERE
def test_alike_contexts_cancel_and_what_is_usual_is_measured_once(model_name, data):
    model, way, prompt, samples = made(model_name, "dualcoop", data)
    prompt.caption.vectors.data[1] = prompt.caption.vectors.data[0]
    split = Split(data, "train", preprocessing=model.preprocessing, inclusive=model.inclusive_boxes)
    pyramids = LivePyramids(model, torch.device("cpu"))
    images = partial(training_images, split, pyramids, torch.device("cpu"), "float32")
    with torch.no_grad():
        changed = way.adjust_predictions(model, prompt, plain := heard(model, prompt, samples[:1]))
        stands = changed.language.class_positions[0].any(0)
        assert model.scored_places(changed).logits[0, :, stands].abs().max() < 1e-3, "probability 1/2 everywhere"
        means = []
        for one in images():
            language = prompt.for_images(one.pyramid)
            logits = model.scored_places(model.ground(one.pyramid, language)).logits[0].double()
            negative = language.class_positions[0].any(0).nonzero().flatten()
            means.append(logits[:, negative[negative >= prompt.rows]].mean())
        prompt.above_usual = False
        way.before_epoch(model, prompt, 0, images)
        assert prompt.usual.item() == 0
        prompt.above_usual = True
        way.before_epoch(model, prompt, 0, images)
        usual = prompt.usual.item()
        assert usual == pytest.approx((sum(means) / len(means)).item(), rel=1e-4) and usual < -1
        found = model.scored_places(way.adjust_predictions(model, prompt, plain)).logits[0, :, stands]
        torch.testing.assert_close(found, torch.full_like(found, usual), rtol=1e-3, atol=1e-3)
        prompt.caption.vectors.data[1] += 1
        way.before_epoch(model, prompt, 1, images)
        assert prompt.usual.item() == usual


@EVERYWHERE
def test_both_contexts_learn_and_the_negative_captions_rows_are_in_no_loss(model_name, data):
    model, way, prompt, samples = made(model_name, "dualcoop", data)
    torch.manual_seed(0)  # of the noise of denoising
    targets = [sample.target for sample in samples]
    changed = way.adjust_predictions(model, prompt, heard(model, prompt, samples))
    logits = model.scored_places(changed).logits
    hidden = torch.arange(logits.shape[2]) >= prompt.rows
    other = model.with_logits(changed, torch.where(hidden, logits + 3, logits))
    one, two = (model.loss(each, targets) for each in (changed, other))
    assert all(torch.equal(one[name].sum, two[name].sum) for name in one)
    sum(term.sum for term in one.values()).backward()
    positive, negative = prompt.caption.vectors.grad
    assert positive.abs().sum() > 0 and negative.abs().sum() > 0
    found = [model.detect(each) for each in (changed, other)]
    assert all(torch.equal(mine.scores, its.scores) for mine, its in zip(*found))


@EVERYWHERE
def test_the_positive_context_starts_as_coops_and_the_negative_one_elsewhere(model_name):
    way, coop = TuningMethod.load("dualcoop"), TuningMethod.load("coop")
    prompt = way.prompt(None, prompt_inputs_for(model_name, "dualcoop"))
    start = coop.prompt(None, prompt_inputs_for(model_name, "coop")).vectors
    assert prompt.caption.vectors.shape == (2, *start.shape[1:])
    assert torch.equal(prompt.caption.vectors[:1], start)
    assert not torch.allclose(prompt.caption.vectors[1:], start)


def test_captions_that_are_too_long_together_are_refused():
    inputs = prompt_inputs_for("glip_nano", "dualcoop")
    inputs.phrases = [ClassPhrase(f"dog {chr(97 + number)}") for number in range(26)]
    TuningMethod.load("coop").prompt(None, inputs)
    with pytest.raises(ConesError, match=r"too long for the text encoder.*fewer `tokens_per_class`"):
        TuningMethod.load("dualcoop").prompt(None, inputs)
