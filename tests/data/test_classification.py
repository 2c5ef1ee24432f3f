"""Few-shot draws, halves of classes and pixels of labelled pictures."""

import random
from collections import Counter

import numpy as np
import pytest
import torch
from PIL import Image

from cones.data.classification import (
    Item,
    base_and_new,
    few_shot,
    labels_among,
    load_pixels,
    of_classes,
    read_items,
    short_classes,
    train_views,
    view_of,
)
from cones.models.dual_encoder import PictureFormat
from cones.runtime.determinism import generator
from cones.runtime.errors import ConesError

PLAIN = PictureFormat(32, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def items(split: str, counts: dict[int, int]) -> list[Item]:
    return [Item(f"raw/{split}/{label}/{n}.png", label) for label, count in counts.items() for n in range(count)]


TRAIN, VAL = items("train", {0: 30, 1: 20, 2: 5}), items("val", {0: 10, 1: 10, 2: 2})


def per_class(drawn) -> dict[int, int]:
    return dict(Counter(item.label for item in drawn))


@pytest.mark.parametrize(("shots", "val"), [(1, 1), (2, 2), (4, 4), (8, 4), (16, 4)])
def test_n_shots_and_at_most_four_to_validate_on(shots, val):
    tuned, validation = few_shot(TRAIN, VAL, shots, seed=1)
    assert per_class(tuned) == {0: shots, 1: shots, 2: min(shots, 5)}
    assert per_class(validation) == {0: val, 1: val, 2: min(val, 2)}
    assert set(tuned) <= set(TRAIN) and set(validation) <= set(VAL)
    assert len(set(tuned)) == len(tuned)


def test_a_class_that_is_short_has_all_it_has_and_is_named():
    tuned, _ = few_shot(TRAIN, VAL, 16, seed=1)
    assert {item for item in tuned if item.label == 2} == {item for item in TRAIN if item.label == 2}
    assert short_classes(TRAIN, ["a", "b", "c", "d"], 16) == {"c": 5, "d": 0}


def test_a_draw_is_its_seeds_and_does_not_depend_on_the_order_of_files():
    shuffled = random.Random(0).sample(TRAIN, len(TRAIN)), random.Random(1).sample(VAL, len(VAL))
    assert few_shot(*shuffled, 8, seed=1) == few_shot(TRAIN, VAL, 8, seed=1)
    draws = [few_shot(TRAIN, VAL, 8, seed=seed)[0] for seed in (1, 2, 3)]
    assert all(one != other for one, other in zip(draws, draws[1:] + draws[:1]))


def test_fewer_shots_are_the_first_of_more_and_half_of_the_classes_half_of_the_draw():
    few, many = few_shot(TRAIN, VAL, 4, seed=2)[0], few_shot(TRAIN, VAL, 16, seed=2)[0]
    assert set(few) < set(many)
    base = [item for item in TRAIN if item.label < 2], [item for item in VAL if item.label < 2]
    assert few_shot(*base, 16, seed=2)[0] == [item for item in many if item.label < 2]


def test_every_picture_is_drawn_about_as_often():
    counts = Counter(item for seed in range(600) for item in few_shot(TRAIN, VAL, 1, seed)[0] if item.label == 1)
    expected, spread = 600 / 20, (600 * 0.05 * 0.95) ** 0.5
    assert all(abs(counts[item] - expected) < 4.5 * spread for item in TRAIN if item.label == 1)


def test_without_validation_pictures_it_takes_further_training_ones():
    tuned, validation = few_shot(TRAIN, [], 16, seed=1)
    assert per_class(validation) == {0: 4, 1: 4}
    assert set(validation) <= set(TRAIN) and not set(validation) & set(tuned)
    assert few_shot(TRAIN, VAL, 16, seed=1)[0] == tuned


def test_no_shots_is_refused():
    with pytest.raises(ConesError, match="at least one picture a class"):
        few_shot(TRAIN, VAL, 0, seed=1)


@pytest.mark.parametrize(("count", "base"), [(2, 1), (3, 2), (10, 5), (101, 51)])
def test_base_is_the_first_half_of_the_classes_rounded_up(count, base):
    first, second = base_and_new(range(count))
    assert first == list(range(base)) and second == list(range(base, count))


def test_items_of_some_classes_are_labelled_from_zero():
    new = of_classes(TRAIN, [2, 1])
    assert per_class(new) == {1: 20, 0: 5} and all(f"/{2 - item.label}/" in item.path for item in new)


def test_labels_of_a_shifted_copy_are_those_of_its_source():
    assert labels_among(["n3", "n1"], ["n1", "n2", "n3"]) == [2, 0]
    with pytest.raises(ConesError, match="imagenet_r: 1 of 2 classes are not those of the source; found n9"):
        labels_among(["n3", "n9"], ["n1", "n2", "n3"], where="imagenet_r")


def test_a_file_that_is_no_list_of_items_is_refused(tmp_path):
    (tmp_path / "items.json").write_text('{"train": []}')
    with pytest.raises(ConesError, match="not a list of labelled pictures"):
        read_items(tmp_path)


@pytest.fixture
def picture(tmp_path):
    """A function (pixels (H, W, 3) or mode) -> path."""

    def write(pixels: np.ndarray, name="a.png", mode=None):
        image = Image.fromarray(pixels)
        (image.convert(mode) if mode else image).save(tmp_path / name)
        return tmp_path / name

    return write


def test_pixels_are_the_middle_square_of_the_short_side_resized(picture):
    wide = np.zeros((32, 64, 3), np.uint8)
    wide[:, :16], wide[:, 16:48], wide[:, 48:] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    (found,) = load_pixels([picture(wide)], PLAIN)
    assert found.shape == (3, 32, 32) and torch.equal(found[1], torch.ones(32, 32)) and found[[0, 2]].sum() == 0
    tall = np.ascontiguousarray(wide.transpose(1, 0, 2))
    assert torch.equal(load_pixels([picture(tall)], PLAIN)[0], found)


def test_resizing_is_bicubic_and_values_are_normalised(picture):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    path = picture(pixels)
    picture_format = PictureFormat(32, (0.48, 0.45, 0.4), (0.26, 0.25, 0.27))
    wanted = np.asarray(Image.fromarray(pixels).resize((40, 32), Image.Resampling.BICUBIC))[:, 4:36] / 255
    wanted = (wanted - np.array(picture_format.mean)) / np.array(picture_format.std)
    found = load_pixels([path, path], picture_format)
    assert found.dtype == torch.float32 and found.shape == (2, 3, 32, 32)
    np.testing.assert_allclose(found[0].numpy(), wanted.transpose(2, 0, 1), atol=1e-5)


@pytest.mark.parametrize("size", [(31, 33), (100, 32), (33, 47), (500, 375), (7, 5)])
def test_the_square_is_where_clips_own_transform_has_it(picture, size):
    """Resize and CenterCrop of torchvision: the long side is int(side * long / short), the rest is halved and rounded
    to even."""
    width, height = size
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), dtype=np.uint8)
    short, long = min(size), max(size)
    resized = (32, int(32 * long / short)) if width <= height else (int(32 * long / short), 32)
    top, left = round((resized[1] - 32) / 2.0), round((resized[0] - 32) / 2.0)
    wanted = Image.fromarray(pixels).resize(resized, Image.Resampling.BICUBIC).crop((left, top, left + 32, top + 32))
    found = load_pixels([picture(pixels)], PLAIN)[0]
    assert torch.equal((found * 255).round().to(torch.uint8), torch.from_numpy(np.array(wanted)).permute(2, 0, 1))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "1"])
def test_pictures_of_any_kind_become_rgb(picture, mode):
    path = picture(np.full((40, 40, 3), 255, np.uint8), f"{mode}.png", mode)
    assert torch.equal(load_pixels([path], PLAIN), torch.ones(1, 3, 32, 32))


def test_a_view_depends_on_its_name_and_place_alone(picture):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)
    path = picture(pixels)
    both = train_views([path, path], ["a", "b"], PLAIN, 1, "epoch", 0)
    assert both.shape == (2, 3, 32, 32)
    assert torch.equal(train_views([path], ["b"], PLAIN, 1, "epoch", 0)[0], both[1])
    assert not torch.equal(both[0], both[1])
    assert not torch.equal(train_views([path], ["a"], PLAIN, 1, "epoch", 1)[0], both[0])
    with pytest.raises(ValueError, match="zip"):
        train_views([path], ["a", "b"], PLAIN)


def test_views_have_the_shares_and_shapes_of_the_published_transform():
    views = [view_of((400, 300), generator("view test", n)) for n in range(3000)]
    shares, ratios = [], []
    for (left, top, right, bottom), _ in views:
        assert 0 <= left < right <= 400 and 0 <= top < bottom <= 300
        shares.append((right - left) * (bottom - top) / 120000)
        ratios.append((right - left) / (bottom - top))
    assert min(shares) > 0.075 and max(shares) <= 1 and min(ratios) > 0.74 and max(ratios) < 1.345
    draw = np.random.default_rng(0)  # what the definition gives: parts that do not fit into 4 to 3 are drawn again
    share, ratio = draw.uniform(0.08, 1, 40000), np.exp(draw.uniform(np.log(3 / 4), np.log(4 / 3), 40000))
    fits = (share * ratio <= 4 / 3) & (share / ratio <= 3 / 4)
    assert abs(np.mean(shares) - share[fits].mean()) < 0.015 and abs(np.std(shares) - share[fits].std()) < 0.015
    assert abs(np.mean(np.log(ratios)) - np.log(ratio[fits]).mean()) < 0.015
    assert abs(np.mean([is_turned for _, is_turned in views]) - 0.5) < 0.03
    lefts = [left / (400 - right + left) for (left, _, right, _), _ in views if right - left < 390]
    assert abs(np.mean(lefts) - 0.5) < 0.03


def test_a_view_of_a_very_long_picture_is_its_middle():
    assert view_of((1000, 10), generator("x"))[0] == (493, 0, 506, 10)
    assert view_of((10, 1000), generator("x"))[0] == (0, 493, 10, 506)


def test_a_turned_view_is_turned_left_to_right(picture):
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:, :, 0] = np.arange(0, 256, 8)
    path = picture(pixels)
    slopes = {
        name: (view[0, :, -1].mean() - view[0, :, 0].mean()).sign().item()
        for name in map(str, range(12))
        for view in train_views([path], [name], PLAIN, "turned")
    }
    turned = {name: view_of((32, 32), generator("view", "turned", name))[1] for name in slopes}
    assert {name: slope < 0 for name, slope in slopes.items()} == turned and len(set(turned.values())) == 2
