"""The natural datasets (ODinW-13 without aquarium): what each looks like, and their painters by dataset id."""

import numpy as np

from cones.miniature import backgrounds as at
from cones.miniature.canvas import Canvas, mix, smooth
from cones.miniature.figures.things import SKINS
from cones.miniature.objects import paint_object
from cones.miniature.painter import Drawn, Painted, Painter
from cones.miniature.scenes import Setting, develop, painter

IRON = [(0, 8, 0, 30), (0.3, 88, 6, 130), (0.55, 210, 60, 90), (0.78, 252, 166, 20), (1, 255, 252, 226)]


def thermal(canvas: Canvas, rng) -> None:
    """Brightness as heat: white-hot grey, or the palette of an iron being heated."""
    heat = np.clip(canvas.pixels.mean(axis=2) / 255, 0, 1)
    heat = smooth(0.04, 0.98, heat * rng.uniform(0.92, 1.08))
    if rng.uniform() < 0.5:
        canvas.pixels[:] = (255 * heat)[..., None]
    else:
        stops = np.array(IRON)
        canvas.pixels[:] = np.stack([np.interp(heat, stops[:, 0], stops[:, k]) for k in (1, 2, 3)], axis=2)


def hands(rng: np.random.Generator, classes: list[str], index: int) -> Painted:
    """A table between two people: one to four hands that reach in from the edges, with their sleeves."""
    canvas = Canvas(8 * int(rng.integers(26, 30)), 8 * int(rng.integers(16, 20)))
    ground = at.table_top(canvas, rng)
    drawn: list[Drawn] = []
    sides = [side for side in ("left", "right", "far left", "far right") if rng.uniform() < 0.65] or ["left"]
    skins = {near: SKINS[int(rng.integers(len(SKINS)))] for near in (True, False)}
    sleeves = {near: mix((40, 60, 110), (190, 70, 60), rng.uniform()) for near in (True, False)}
    for side in reversed(sides):
        near = not side.startswith("far")
        size = rng.uniform(20, 29) if near else rng.uniform(14, 20)
        x = canvas.width * (rng.uniform(0.15, 0.42) if side.endswith("left") else rng.uniform(0.58, 0.85))
        y = canvas.height * (rng.uniform(0.52, 0.74) if near else rng.uniform(0.2, 0.36))
        angle = rng.uniform(-0.6, 0.6) + (0 if near else np.pi)
        _arm(canvas, x, y, size, angle, sleeves[near], skins[near])
        sprite = paint_object(classes[0], rng, size, colours=[skins[near]], angle=angle)
        patch = sprite.place(canvas, x, y, haze=ground.haze, depth=rng.uniform(0, 0.08))
        drawn.append(Drawn(classes[0], canvas.clip(patch.box)))
    develop(canvas, rng)
    return Painted(canvas.image(), drawn)


def _arm(canvas: Canvas, x: float, y: float, size: float, angle: float, sleeve, skin) -> None:
    """From the wrist off the picture; not part of the hand."""
    rows, columns = at.grid(canvas)
    along = -(columns - x) * np.sin(angle) + (rows - y) * np.cos(angle)
    across = np.abs((columns - x) * np.cos(angle) + (rows - y) * np.sin(angle))
    for start, half, colour in ((0.62, 0.3, skin), (1.1, 0.46, sleeve)):
        alpha = smooth(-1, 1, along - start * size) * (1 - smooth(-1, 1, across - half * size))
        shaded = np.asarray(colour, np.float32) * (1.05 - 0.3 * (across / size))[..., None]
        canvas.pixels += (shaded - canvas.pixels) * alpha[..., None]


_THEMES = (
    ("aeroplane", "bird", "boat"),
    ("bus", "car", "motorbike"),
    ("chair", "diningtable", "sofa"),
    ("cow", "horse", "sheep"),
    ("bicycle", "person", "train"),
    ("bottle", "pottedplant", "tvmonitor"),
    ("cat", "dog", "person"),
)
_THEME_PLACES = (at.sea, at.street, at.room, at.meadow, at.street, at.room, at.meadow)

SETTINGS: dict[str, Setting] = {
    "pascal_voc": Setting(_THEME_PLACES, (3, 5), unit=36, themes=_THEMES),
    "aerial_maritime_drone_large": Setting(
        (at.coast_from_above,),
        (4, 10),
        unit=13,
        width=(224, 256),
        height=(168, 192),
        figures={"boat": "boat from above", "car": "car from above"},
        shadow=0.2,
    ),
    "cottontail_rabbits": Setting((at.lawn_at_dusk,), (1, 2), unit=52, vary=0.4),
    "north_america_mushrooms": Setting((at.forest_floor,), (1, 4), unit=52, height=(160, 192), vary=0.35),
    "packages": Setting((at.porch,), (1, 3), unit=44, vary=0.35),
    "raccoon": Setting((at.night_yard, at.meadow, at.room), (1, 2), unit=52, vary=0.35),
    "shellfish_openimages": Setting((at.kitchen_table,), (1, 5), unit=46, vary=0.35),
    "vehicles_openimages": Setting((at.street, at.asphalt, at.meadow), (1, 4), unit=30, vary=0.3),
    "pistols": Setting((at.studio,), (1, 2), unit=66, vary=0.5),
    "pothole": Setting((at.asphalt,), (1, 4), unit=40, vary=0.4, flat=True),
    "thermal_dogs_and_people": Setting((at.cool_night,), (1, 4), unit=36, vary=0.3, shadow=0, finish=thermal),
}

PAINTERS: dict[str, Painter] = {
    **{name: painter(setting) for name, setting in SETTINGS.items()},
    "egohands_generic": hands,
}
