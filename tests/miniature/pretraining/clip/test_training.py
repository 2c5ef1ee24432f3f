"""Contrastive pretraining: its loss, patches left out, and a run that was cut off."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from cones.miniature.pretraining.clip.pictures import paint_number
from cones.miniature.pretraining.clip.recipe import ClipRecipe
from cones.miniature.pretraining.clip.training import (
    LARGEST_SCALE,
    ContrastivePretrainer,
    contrastive_loss,
    features_of_some_patches,
)
from cones.models.checkpoints import build_dual_encoder, tokenizer_for

RECIPE = ClipRecipe(pictures=24, steps=4, batch_size=8, warmup_steps=1, validation=1000)


@pytest.fixture(scope="module")
def pictures():
    return np.stack([paint_number(0, number) for number in range(RECIPE.pictures)])


def pretrainer(pictures, folder, **changes):
    return ContrastivePretrainer(
        model="clip_nano",
        recipe=replace(RECIPE, **changes),
        pictures=pictures,
        tokenizer=tokenizer_for("clip_nano"),
        checkpoint=folder / "resume.pt",
    )


def test_the_loss_is_clips_where_no_text_fits_two_pictures():
    logits = torch.randn(5, 5, generator=torch.Generator().manual_seed(0))
    target = torch.arange(5)
    expected = (F.cross_entropy(logits, target) + F.cross_entropy(logits.t(), target)) / 2
    assert torch.allclose(contrastive_loss(logits, torch.eye(5, dtype=torch.bool)), expected)


def test_a_text_that_is_true_of_another_picture_is_no_negative_for_it():
    logits = torch.tensor([[2.0, 9.0], [1.0, 3.0]], requires_grad=True)
    true = torch.tensor([[True, True], [False, True]])  # text 1 is true of picture 0 too
    loss = contrastive_loss(logits, true)
    rows = F.cross_entropy(torch.tensor([[1.0, 3.0]]), torch.tensor([1]))  # picture 1 among both texts
    columns = F.cross_entropy(torch.tensor([[2.0, 1.0]]), torch.tensor([0]))  # text 0 among both pictures
    assert torch.allclose(loss, (rows + columns) / 4)  # the other row and column are certain
    loss.backward()
    assert logits.grad[0, 1] == 0 and torch.isfinite(logits.grad).all()


def test_all_patches_in_any_order_give_what_the_encoder_gives():
    torch.manual_seed(0)
    model, pixels = build_dual_encoder("clip_nano").eval(), torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        whole = model.encode_image(pixels).pooled
        assert torch.allclose(features_of_some_patches(model.visual, pixels, 1.0), whole, atol=1e-5)
        assert not torch.allclose(features_of_some_patches(model.visual, pixels, 0.5), whole, atol=1e-3)


def test_patches_that_are_left_out_are_not_seen():
    torch.manual_seed(0)
    visual = build_dual_encoder("clip_nano").visual
    pixels = torch.randn(1, 3, 64, 64, requires_grad=True)
    features_of_some_patches(visual, pixels, 0.25).sum().backward()
    seen = pixels.grad.abs().sum(dim=1).view(8, 8, 8, 8).sum(dim=(1, 3)) > 0  # patches
    assert int(seen.sum()) == 16


def test_a_run_that_was_cut_off_ends_in_the_same_bits(pictures, tmp_path):
    whole = pretrainer(pictures, tmp_path / "whole")
    whole.run()
    cut = pretrainer(pictures, tmp_path / "cut")
    cut.train((cut.batches[number] for number in range(2)), label="", total=2)
    cut.save()
    resumed = pretrainer(pictures, tmp_path / "cut")
    resumed.run()
    assert resumed.progress.step == whole.progress.step == 4
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    other = pretrainer(pictures, tmp_path / "cut", learning_rate=5e-4)
    other.resume()
    assert other.progress.step == 0  # of another recipe


def test_a_batch_that_is_seen_again_and_again_is_learnt(pictures, tmp_path):
    trainer = pretrainer(pictures, tmp_path, steps=30)
    batch = trainer.batches[0]
    losses = []
    for _ in range(30):
        losses.append(trainer.step(batch)["contrastive"])
        trainer.progress.step += 1
    assert abs(losses[0] - np.log(8)) < 0.6  # chance
    assert losses[-1] < 0.5 * losses[0]


def test_the_scale_of_cosines_stays_at_most_100(pictures, tmp_path):
    trainer = pretrainer(pictures, tmp_path, steps=1)
    with torch.no_grad():
        trainer.model.logit_scale.fill_(9.0)
    trainer.run()
    assert trainer.model.logit_scale.item() == pytest.approx(LARGEST_SCALE)
