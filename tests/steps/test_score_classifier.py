"""Test images as a classifier of pixels gets them: as they are, or with further views that depend on no other image."""

import numpy as np
import pytest
import torch
from PIL import Image

from cones.data.classification import Item, load_pixels
from cones.models.dual_encoder import PictureFormat
from cones.steps.score_classifier import pixels_at_test

FORMAT = PictureFormat(side=16, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


@pytest.fixture
def items(tmp_path):
    noise = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        Image.fromarray(noise.integers(0, 255, (20, 24, 3), dtype=np.uint8)).save(tmp_path / name)
    return [Item("a.png", 0), Item("b.png", 1)]


def test_one_view_is_the_image_as_it_is_tested(tmp_path, items):
    plain = load_pixels([tmp_path / item.path for item in items], FORMAT)
    assert torch.equal(pixels_at_test(tmp_path, items, FORMAT, 1), plain)
    assert torch.equal(pixels_at_test(tmp_path, items, FORMAT, 4)[:, 0], plain)


def test_views_differ_from_one_another_and_depend_on_no_other_image(tmp_path, items):
    both = pixels_at_test(tmp_path, items, FORMAT, 4)
    assert both.shape == (2, 4, 3, 16, 16)
    assert torch.equal(both[1:], pixels_at_test(tmp_path, items[1:], FORMAT, 4))
    assert torch.equal(both.flip(0), pixels_at_test(tmp_path, items[::-1], FORMAT, 4))
    assert not any(torch.equal(both[0, 1], both[0, other]) for other in (0, 2, 3))
