"""ProGrad, LASP and variational prompts on every family: their terms against loops in float64, and their neutral
settings."""

import math

import pytest
import torch

from baselines.text_prompts import hand_texts, lasp, prograd
from baselines.text_prompts.hand_texts import SCALE, WEIGHT
from cones.data.batches import batch_of
from cones.methods.prompts import CaptionPrompt, PromptContext, encode_caption
from cones.models.dual_encoder import unit
from cones.models.language import ClassPhrase
from tests.methods.on_detectors import EVERYWHERE, heard, made
from tests.methods.one_step import PHRASES, prompt_inputs_for


def loop_of_logits(model, predictions, targets):
    """[[logit of each class] of each object], float64: of equal fits the first place."""
    places, found = model.scored_places(predictions), []
    for image, target in enumerate(targets):
        for x1, y1, x2, y2 in target.boxes.double().tolist():
            best, place = -math.inf, None
            for number, (a1, b1, a2, b2) in enumerate(places.boxes[image].double().tolist()):
                shared = max(0, min(x2, a2) - max(x1, a1)) * max(0, min(y2, b2) - max(y1, b1))
                union = (x2 - x1) * (y2 - y1) + (a2 - a1) * (b2 - b1) - shared
                around = (max(x2, a2) - min(x1, a1)) * (max(y2, b2) - min(y1, b1))
                if (fit := shared / union - (around - union) / around) > best + 1e-9:
                    best, place = fit, number
            rows = predictions.language.class_positions[image]
            found.append([places.logits[image, place, own].double().mean().item() for own in rows])
    return found


@EVERYWHERE
def test_prograds_teacher_is_the_caption_of_names_at_the_objects(model_name, data):
    model, way, prompt, samples = made(model_name, "prograd", data)
    targets = [sample.target for sample in samples]
    with torch.no_grad():
        predictions = heard(model, prompt, samples)
        names = model.ground(predictions.pyramid, prompt.names.for_images(predictions.pyramid))
        term = way.loss_terms(model, prompt, predictions, targets)["teacher"]
    expected = 0.0
    pairs = zip(loop_of_logits(model, predictions, targets), loop_of_logits(model, names, targets))
    for student, teacher in pairs:
        for own, taught in zip(student, teacher):
            p, q = 1 / (1 + math.exp(-taught)), 1 / (1 + math.exp(-own))
            expected -= p * math.log(q) + (1 - p) * math.log(1 - q)
    assert term.normaliser == way.normalisers(targets, (96, 96))["teacher"] == 3
    assert term.sum.item() == pytest.approx(expected, rel=1e-4)


@EVERYWHERE
def test_prograd_takes_no_step_against_the_teacher(model_name, data):
    _, way, prompt, _ = made(model_name, "prograd", data)
    gradients, taught = torch.randn(2, *prompt.vectors.shape, generator=torch.Generator().manual_seed(1))
    for sign in (1, -1):
        along = sign * (gradients * taught).sum().sign() * taught
        prompt.vectors.grad = gradients.clone()
        way.adjust_gradients({"prompt.vectors": prompt.vectors}, 0, {"teacher": {"prompt.vectors": along}})
        kept = (prompt.vectors.grad * along).sum().item()
        if sign == 1:
            assert torch.equal(prompt.vectors.grad, gradients)
        else:
            assert kept == pytest.approx(0, abs=1e-4) and not torch.equal(prompt.vectors.grad, gradients)
    assert way.separate_terms == (prograd.TEACHER,)


@EVERYWHERE
def test_lasps_term_is_a_cross_entropy_between_texts(model_name, data, monkeypatch):
    monkeypatch.setattr(hand_texts, "NOISE_SHARE", 0.0)
    model, way, prompt, samples = made(model_name, "lasp", data)
    prompt.hand[:] = unit(torch.randn(prompt.hand.shape))  # an untrained encoder says nearly the same in all templates
    targets = [sample.target for sample in samples]
    with torch.no_grad():
        predictions = heard(model, prompt, samples)
        term = way.loss_terms(model, prompt, predictions, targets)["between_texts"]
    rows = predictions.language
    learned = [rows.hidden[0, own].double().mean(0) for own in rows.class_positions[0]]
    losses = []
    for template in prompt.hand.double():
        for k, text in enumerate(template):
            logits = [SCALE * (text @ one / one.norm()).item() for one in learned]
            losses.append(math.log(sum(math.exp(logit - logits[k]) for logit in logits)))
    assert prompt.hand.shape[:2] == (len(lasp.TEMPLATES), 3) and len(losses) == 105
    assert term.sum.item() / term.normaliser.item() == pytest.approx(WEIGHT * sum(losses) / len(losses), rel=1e-3)
    assert term.normaliser == way.normalisers(targets, (96, 96))["between_texts"] == 3


@EVERYWHERE
def test_lasps_hand_texts_are_read_alone_and_its_correction_moves_the_names_alone(model_name, data):
    _, _, prompt, _ = made(model_name, "lasp", data)
    inputs = prompt_inputs_for(model_name, "lasp")
    encoder, tokenizer = prompt.caption.text_encoder, inputs.tokenizer
    before, _, after = lasp.TEMPLATES[0].partition("{}")
    alone = encode_caption(tokenizer, [ClassPhrase(PHRASES[1].name, before, after)])
    with torch.no_grad():
        text = CaptionPrompt(encoder, alone)(PromptContext()).class_means()[0, 0]
        torch.testing.assert_close(prompt.hand[0, 1], text / text.norm())
        plain, start = prompt.caption(PromptContext()), prompt(PromptContext())
        assert torch.equal(start.hidden, plain.hidden)
        prompt.correction += 1
        moved = prompt(PromptContext()).hidden - plain.hidden
    of_names = plain.class_positions[0].any(dim=0)
    assert torch.allclose(moved[0, of_names], torch.ones(1)) and moved[0, ~of_names].abs().max() == 0


@EVERYWHERE
def test_a_posterior_without_spread_is_its_mean_whatever_is_drawn(model_name, data):
    model, way, prompt, samples = made(model_name, "variational", data)
    pyramid = model.encode_image(batch_of(samples))
    with torch.no_grad():
        for network in (prompt.posterior.mean, prompt.posterior.log_variance):
            network[4].weight.zero_()
        prompt.posterior.mean[4].bias.zero_()
        prompt.posterior.log_variance[4].bias.fill_(-80)
        plain = prompt.caption(PromptContext()).hidden.expand(3, -1, -1)
        way.set_modes(model, prompt)
        assert prompt.training and not prompt.caption.text_encoder.training
        torch.testing.assert_close(prompt.for_images(pyramid).hidden, plain, rtol=1e-4, atol=1e-4)
        prompt.eval()
        torch.testing.assert_close(prompt.for_images(pyramid).hidden, plain, rtol=1e-4, atol=1e-4)


@EVERYWHERE
def test_draws_are_anew_in_training_and_the_same_for_every_image_at_test(model_name, data):
    model, way, prompt, samples = made(model_name, "variational", data)
    with torch.no_grad():
        pyramid = model.encode_image(batch_of(samples))
        both, again = (prompt.for_images(pyramid).hidden for _ in range(2))
        alone = prompt.for_images(model.encode_image(batch_of(samples[1:2]))).hidden
        assert torch.equal(both, again) and not torch.allclose(both[0], both[1], atol=1e-5)
        torch.testing.assert_close(both[1:2], alone, rtol=1e-4, atol=1e-4)
        mean, log_variance = prompt.distribution(pyramid)
        context = prompt.caption.vectors[None] + mean[1]
        scale = (log_variance[1] / 2).exp()
        each = [prompt.caption.with_vectors(context + draw * scale).hidden for draw in prompt.draws]
        torch.testing.assert_close(both[1:2], torch.stack(each).mean(0), rtol=1e-4, atol=1e-4)
        way.set_modes(model, prompt)
        assert not torch.equal(prompt.for_images(pyramid).hidden, prompt.for_images(pyramid).hidden)


@EVERYWHERE
def test_the_divergence_is_that_from_the_standard_normal_distribution(model_name, data):
    model, way, prompt, samples = made(model_name, "variational", data)
    targets = [sample.target for sample in samples]
    with torch.no_grad():
        predictions = heard(model, prompt, samples)
        term = way.loss_terms(model, prompt, predictions, targets)["divergence"]
        mean, log_variance = (each.double() for each in prompt.distribution(predictions.pyramid))
    normal = torch.distributions.Normal
    away = torch.distributions.kl_divergence(normal(mean, (log_variance / 2).exp()), normal(0.0, 1.0))
    assert term.sum.item() == pytest.approx(1e-3 * away.mean(dim=1).sum().item(), rel=1e-4)
    assert term.normaliser == 3
