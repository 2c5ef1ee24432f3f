import numpy as np
import pytest

from cones.data.registry import load_registry
from cones.miniature import backgrounds, natural, scenes
from cones.miniature.canvas import Canvas
from cones.miniature.painter import generator

REGISTRY = load_registry()


@pytest.mark.parametrize("dataset_id", ["pascal_voc", "vehicles_openimages", "shellfish_openimages"])
def test_at_least_half_of_every_object_stays_visible(dataset_id, monkeypatch):
    shown = []

    def put(*arguments):
        painted = real(*arguments)
        shown.extend(one.mask.sum() / one.pixels for one in arguments[-1])
        return painted

    real = scenes.put
    monkeypatch.setattr(scenes, "put", put)
    for index in range(14):
        natural.PAINTERS[dataset_id](generator(dataset_id, 0, index), REGISTRY[dataset_id].classes, index)
    assert len(shown) > 30 and min(shown) >= 0.5


def test_all_classes_of_a_theme_are_in_its_picture():
    for index, theme in enumerate(natural.SETTINGS["pascal_voc"].themes):
        painted = natural.PAINTERS["pascal_voc"](generator("x", 0, index), REGISTRY["pascal_voc"].classes, index)
        assert {one.class_name for one in painted.objects} == set(theme)
    assert {name for theme in natural.SETTINGS["pascal_voc"].themes for name in theme} == set(
        REGISTRY["pascal_voc"].classes
    )


@pytest.mark.parametrize("background", [*backgrounds.BACKGROUNDS, backgrounds.asphalt, backgrounds.cool_night])
def test_a_background_fills_any_canvas_and_says_where_things_stand(background):
    for width, height in ((256, 128), (96, 96)):
        canvas = Canvas(width, height)
        ground = background(canvas, np.random.default_rng(0))
        assert np.isfinite(canvas.pixels).all() and canvas.pixels.std() > 2
        assert ground.horizon is None or 0 < ground.horizon < height


def test_thermal_pictures_are_hot_where_something_lives():
    for index in range(6):
        painted = natural.PAINTERS["thermal_dogs_and_people"](generator("t", 0, index), ["dog", "person"], index)
        pixels = np.asarray(painted.image, np.float32).mean(axis=2)
        left, top, right, bottom = painted.objects[-1].box
        assert np.quantile(pixels[top:bottom, left:right], 0.8) > 2 * np.median(pixels)
