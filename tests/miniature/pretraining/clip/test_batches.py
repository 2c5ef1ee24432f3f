"""Batches: functions of their number, in grey or other hues where they are bleached."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from cones.miniature.icons import COLOURS
from cones.miniature.pretraining.clip.batches import PictureBatches, normalised
from cones.miniature.pretraining.clip.bleaching import bleach, kind_of_batch
from cones.miniature.pretraining.clip.pictures import paint_number, painted_pictures
from cones.miniature.pretraining.clip.recipe import ClipRecipe
from cones.models.checkpoints import tokenizer_for
from cones.models.dual_encoder import PictureFormat

RECIPE = ClipRecipe(pictures=40, steps=50, batch_size=8)
PLAIN = PictureFormat(64, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


@pytest.fixture(scope="module")
def pictures():
    return np.stack([paint_number(0, number) for number in range(RECIPE.pictures)])


def batches(pictures, **changes):
    return PictureBatches(replace(RECIPE, **changes), pictures, tokenizer_for("clip_nano"), PLAIN)


def test_a_batch_depends_on_its_number_alone(pictures):
    one, two = batches(pictures), batches(pictures)
    list(map(one.__getitem__, range(4)))
    first, again, other = one[7], two[7], two[8]
    assert first.texts == again.texts and torch.equal(first.pixels, again.pixels)
    assert torch.equal(first.true, again.true) and torch.equal(first.ids, again.ids)
    assert first.texts != other.texts
    assert first.pixels.shape == (8, 3, 64, 64) and first.true.diagonal().all()


def test_a_pass_shows_every_picture_once_and_the_next_in_another_order(pictures):
    found = batches(pictures)
    passes = [[number for k in range(5 * p, 5 * p + 5) for number in found._numbers(k)] for p in range(2)]
    assert sorted(passes[0]) == sorted(passes[1]) == list(range(40)) and passes[0] != passes[1]


def test_grey_batches_are_grey_and_say_no_colour(pictures):
    found = batches(pictures, bleached=1.0, bleached_by=1e-9, grey=1.0)
    seen = 0
    for number in range(1, 6):
        batch = found[number]
        assert not {word for text in batch.texts for word in text.strip(".").split()} & set(COLOURS)
        spread = (batch.pixels.amax(dim=1) - batch.pixels.amin(dim=1)).amax(dim=(1, 2))  # (B,)
        seen += int((spread < 0.02).sum())
    assert seen > 0.75 * 40  # the others are tinted afterwards, by what weathers them


def test_colour_is_lost_step_by_step(pictures):
    rng = np.random.default_rng(0)
    kinds = [kind_of_batch(rng, 0.6, 0.55) for _ in range(2000)]
    assert abs(kinds.count("colour") / 2000 - 0.4) < 0.05
    assert abs(kinds.count("grey") / 2000 - 0.33) < 0.05
    assert {kind_of_batch(rng, 0.0, 0.55) for _ in range(50)} == {"colour"}


def test_bleaching_keeps_brightness_or_shape():
    rng = np.random.default_rng(0)
    picture = paint_number(0, 3)
    grey = bleach(picture, "grey", rng)
    assert (grey == grey[..., :1]).all()
    assert abs(grey[..., 0].mean() - (picture @ np.float32([0.299, 0.587, 0.114])).mean()) < 1
    turned = bleach(picture, "hue", rng)
    assert np.abs(turned.max(axis=2).astype(int) - picture.max(axis=2)).max() <= 3  # the value of HSV stays
    assert not np.array_equal(turned, picture) and bleach(picture, "colour", rng) is picture


def test_pictures_are_painted_once(tmp_path):
    file = tmp_path / "pictures.npy"
    first = painted_pictures(0, 4, file)
    stamp = file.stat().st_mtime_ns
    again = painted_pictures(0, 4, file)
    assert np.array_equal(first, again) and file.stat().st_mtime_ns == stamp
    assert np.array_equal(first[2], paint_number(0, 2)) and [path.name for path in tmp_path.iterdir()] == [file.name]


def test_pixels_are_normalised_as_the_model_takes_them():
    pixels = normalised(np.full((1, 2, 2, 3), 255, np.uint8), PictureFormat(2, (0.5, 0.25, 0.0), (0.5, 0.25, 2.0)))
    assert torch.equal(pixels, torch.tensor([1.0, 3.0, 0.5]).view(1, 3, 1, 1).expand(1, 3, 2, 2))
