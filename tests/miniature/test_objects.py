import itertools

import numpy as np
import pytest
from PIL import Image

from cones.data.registry import load_registry
from cones.miniature import sealife
from cones.miniature.canvas import Canvas
from cones.miniature.figures import shapes
from cones.miniature.natural import PAINTERS
from cones.miniature.objects import EMBLEMS, class_names, look_of, paint_object

REGISTRY = load_registry()
NATURAL = sorted({name for key in PAINTERS for name in REGISTRY[key].classes} | set(sealife.LOOKS))
SAME = {"motorbike": "motorcycle", "Motorcycle": "motorcycle", "Bus": "bus", "Car": "car"}  # one thing, several names


def thumbnail(name, rng, **options):
    """A piece on grey, cut out by its box and made 12 x 12: (h, w, 3) flattened."""
    canvas = Canvas(96, 96, (128, 128, 128))
    patch = paint_object(name, rng, 26, **options).place(canvas, 48, 48, haze=(128, 128, 128), depth=0.1)
    left, top, right, bottom = canvas.clip(patch.box)
    side = max(right - left, bottom - top)
    square = Image.new("RGB", (side, side), (128, 128, 128))
    square.paste(
        canvas.image().crop((left, top, right, bottom)), ((side - right + left) // 2, (side - bottom + top) // 2)
    )
    return np.asarray(square.resize((12, 12)), np.float32).ravel()


def many(names, count, seed, **options):
    rng = np.random.default_rng(seed)
    return {name: np.stack([thumbnail(name, rng, **options) for _ in range(count)]) for name in names}


def share_recognised(seen, unseen):
    """How often the nearest known thumbnail is of the same class."""
    names = list(seen)
    right = total = 0
    for name in names:
        for picture in unseen[name]:
            nearest = min(names, key=lambda other: np.square(seen[other] - picture).sum(axis=1).min())
            right, total = right + (nearest == name), total + 1
    return right / total


def test_classes_of_the_natural_datasets_can_be_told_apart():
    names = sorted({SAME.get(name, name) for name in NATURAL})
    assert len(names) > 40
    assert share_recognised(many(names, 12, seed=1), many(names, 4, seed=2)) > 0.9  # meant: 0.95; chance: 0.02


def test_what_is_seen_in_another_world_helps_but_is_no_copy():
    names = [name for name in sorted({SAME.get(name, name) for name in NATURAL}) if name not in sealife.LOOKS]
    here, there = many(names, 4, seed=2), many(names, 12, seed=1, world=7)
    assert 0.6 < share_recognised(there, here) < 0.99
    assert share_recognised(many(names, 12, seed=1, world=7), many(names, 4, seed=2, world=7)) > 0.9


def test_emblems_keep_their_distance():
    for world in (0, 1, 2):
        cells = list(shapes.spread(EMBLEMS, world).values())
        assert min(shapes.distance(a, b) for a, b in itertools.combinations(cells, 2)) >= 2


def test_names_are_found_whatever_their_case_and_any_name_has_a_look():
    assert look_of("Crab") is look_of("crab")
    assert look_of("sonic screwdriver").draw is not None
    assert {"horse", "starfish", "chanterelle", "apple"} <= set(class_names()) and len(class_names()) > 80
    assert "cow mushroom" not in class_names()  # how a class is drawn, no word of a dataset


def test_every_class_of_the_natural_datasets_has_a_look_of_its_own():
    known = {name.lower() for name in class_names()}
    assert not [name for name in NATURAL if name.lower() not in known]
    assert look_of("CoW").draw is not look_of("cow").draw  # the mushroom; an uncased text encoder cannot know


@pytest.mark.parametrize("name", class_names())
def test_a_piece_has_the_size_asked_for(name):
    rng = np.random.default_rng(3)
    lengths = []
    for world in (0, 5):
        canvas = Canvas(160, 160)
        left, top, right, bottom = (
            paint_object(name, rng, 24, world=world).place(canvas, 80, 80, haze=(0, 0, 0), depth=0).box
        )
        assert 0 < left < 80 < right < 160 and 0 < top < 80 < bottom < 160
        lengths.append(max(right - left, bottom - top))
    assert all(24 < length < 84 for length in lengths), lengths


def test_the_same_numbers_give_the_same_piece():
    one, two, three = (thumbnail("dog", np.random.default_rng(seed)) for seed in (4, 4, 5))
    assert np.array_equal(one, two) and not np.array_equal(one, three)
