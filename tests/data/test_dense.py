"""Pictures with class maps as an encoder takes them: draws, whole pictures, squares with their maps, positions."""

import numpy as np
import torch
from PIL import Image

from cones.data.class_maps import IGNORED, Numbers
from cones.data.dense import MappedItem, class_of_positions, few_pictures, square_picture, whole_picture
from cones.models.dual_encoder import PictureFormat

FORMAT = PictureFormat(side=32, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
ITEMS = [MappedItem(f"raw/{number}.jpg", f"raw/{number}.png") for number in range(40)]


def test_a_draw_depends_on_the_seed_alone_and_fewer_pictures_are_the_first_of_more():
    train, val = ITEMS[:30], ITEMS[30:]
    more, some = few_pictures(train, val, 16, seed=1), few_pictures(train[::-1], val, 8, seed=1)
    assert more[0][:8] == some[0] and more[1] == some[1] and len(more[1]) == 4
    assert few_pictures(train, val, 16, seed=2)[0] != more[0]
    assert set(more[0]) <= set(train) and set(more[1]) <= set(val)


def test_without_validation_pictures_further_training_pictures_validate():
    tuned, validation = few_pictures(ITEMS[:6], [], 4, seed=1)
    assert len(tuned) == 4 and len(validation) == 2 and not set(tuned) & set(validation)
    assert [len(part) for part in few_pictures(ITEMS[:3], [], 16, seed=1)] == [3, 0]


def test_a_whole_picture_keeps_its_shape_and_fits_the_stride(tmp_path):
    Image.new("RGB", (100, 61)).save(tmp_path / "a.png")
    found = whole_picture(tmp_path / "a.png", FORMAT, short_side=128, stride=16)
    assert found.shape == (1, 3, 128, 208)  # 209.8 to the nearest multiple
    Image.new("RGB", (5, 400)).save(tmp_path / "b.png")
    assert whole_picture(tmp_path / "b.png", FORMAT, short_side=8, stride=32).shape == (1, 3, 640, 32)


def test_picture_and_map_are_cut_alike_and_numbers_are_never_mixed(tmp_path):
    values = np.zeros((40, 70), np.uint8)
    values[:, 30:] = 3  # classes count from 1: this is class 2
    values[10:20, 40:50] = 9  # unlabelled
    Image.fromarray(values).save(tmp_path / "map.png")
    Image.fromarray(np.stack([np.where(values == 3, 255, 0).astype(np.uint8)] * 3, 2)).save(tmp_path / "picture.png")
    item = MappedItem("picture.png", "map.png")
    pixels, found = square_picture(tmp_path, item, Numbers(3, 1, (0, 9)), FORMAT, side=64)
    assert pixels.shape == (3, 64, 64) and found.shape == (64, 64)
    assert set(found.unique().tolist()) == {2, IGNORED}
    bright = pixels[0] > 0.5
    agree = (bright == (found == 2)).float().mean()
    assert agree > 0.97  # bicubic edges apart


def test_a_position_has_the_class_of_most_labelled_pixels_under_it():
    maps = torch.tensor([[[0, 0, 1, 1], [0, 2, IGNORED, IGNORED], [2, 1, 255, 255], [1, 2, 255, 255]]])
    found = class_of_positions(maps, (2, 2), 3)
    assert found.tolist() == [[0, 1, 1, IGNORED]]  # of two equal ones the first
    wide = class_of_positions(maps[:, :2], (1, 2), 3)
    assert wide.tolist() == [[0, 1]]
