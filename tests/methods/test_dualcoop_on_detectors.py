"""DualCoOp on every family of detectors: its logit, where it starts, and what its negative caption takes part in."""

import pytest
import torch

from cones.data.batches import batch_of
from cones.methods.method import TuningMethod
from cones.models.language import ClassPhrase
from cones.runtime.errors import ConesError
from tests.methods.on_detectors import EVERYWHERE, heard, made
from tests.methods.one_step import prompt_inputs_for


@EVERYWHERE
def test_a_logit_is_the_positive_one_minus_the_negative_one_piece_by_piece(model_name, data):
    model, way, prompt, samples = made(model_name, "dualcoop", data)
    prompt.weight = 0.7
    with torch.no_grad():
        plain = heard(model, prompt, samples[:2])
        changed = way.adjust_predictions(model, prompt, plain)
        before, after = (model.scored_places(one).logits.double() for one in (plain, changed))
    rows, both = prompt.rows, plain.language.class_positions
    assert both.shape[2] == 2 * rows
    expected = before.clone()
    for image, positions in enumerate(both):
        for row in positions.any(0)[:rows].nonzero().flatten().tolist():
            expected[image, :, row] = before[image, :, row] - 0.7 * before[image, :, row + rows]
    torch.testing.assert_close(after, expected, rtol=1e-5, atol=1e-5)
    own = changed.language
    assert torch.equal(own.class_positions[:, :, :rows], both[:, :, :rows]) and own.class_positions.any(2).all()
    assert not own.class_positions[:, :, rows:].any() and not own.mask[:, rows:].any()
    assert torch.equal(own.mask[:, :rows], plain.language.mask[:, :rows])


@EVERYWHERE
@pytest.mark.parametrize("method", ["dualcoop", "plot"])
def test_scoring_needs_no_text_encoder_and_finds_the_same(model_name, method, data):
    if method == "plot" and model_name != "glip_nano":
        return  # a query has no region
    model, way, prompt, samples = made(model_name, method, data)
    assert way.detect and not way.needs_prompt_at_test(prompt)
    with torch.no_grad():
        pyramid = model.encode_image(batch_of(samples))
        expected = way.detect(model, prompt, pyramid)
        language, settings = prompt.without_images(), prompt_inputs_for(model_name, method).settings
        for fixed in (prompt.at_test(), way.prompt_at_test(language, settings)):
            assert not list(fixed.parameters())
            found = way.detect(model, fixed, pyramid)
            assert all(torch.equal(one.scores, other.scores) for one, other in zip(found, expected))
            assert all(torch.equal(one.boxes, other.boxes) for one, other in zip(found, expected))


@EVERYWHERE
def test_alike_contexts_cancel(model_name, data):
    model, way, prompt, samples = made(model_name, "dualcoop", data)
    prompt.caption.vectors.data[1] = prompt.caption.vectors.data[0]
    with torch.no_grad():
        changed = way.adjust_predictions(model, prompt, heard(model, prompt, samples[:1]))
    stands = changed.language.class_positions[0].any(0)
    assert model.scored_places(changed).logits[0, :, stands].abs().max() < 1e-3, "probability 1/2 everywhere"


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
