"""Scenes to pretrain on: things with names on natural grounds, in worlds other than that of the datasets.

Every scene has a world of its own, so each class differs from scene to scene in hue, saturation, brightness and
proportions; world 0, in which the datasets are drawn, is never used. A share of the scenes are soft shapes on clouds.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from PIL import Image

from cones.miniature import backgrounds
from cones.miniature.canvas import Canvas, Patch, Sprite, blob, mix, noise, smooth
from cones.miniature.objects import EMBLEMS, class_names, paint_object
from cones.miniature.pretraining.hardships import weathered
from cones.miniature.scenes import Setting, Visible, arrange, develop, put

WORLDS = 4096
EMBLEM_WORLD = 1  # emblems have other looks in every world: a word can only mean one
EMBLEM_SHARE = 0.4  # how often an emblem is shown, beside a thing of the datasets
SOFT_SHAPES = ("dot", "hole", "ring", "region")
SOFT_SHARE = 0.15
LONG_SIDE = 160
SHAPES = ((4 / 3, 0.55), (1.0, 0.2), (5 / 3, 0.1), (3 / 4, 0.15))  # width / height, share of the batches
# where a scene takes place, as sentences say it
GROUNDS = {
    backgrounds.meadow: "on the grass",
    backgrounds.street: "in the street",
    backgrounds.room: "in the house",
    backgrounds.sea: "in the sea",
    backgrounds.forest_floor: "in the forest",
    backgrounds.studio: "on the wall",
    backgrounds.kitchen_table: "on the table",
    backgrounds.night_yard: "in the garden",
    backgrounds.table_top: "on the wood",
}


@dataclass(frozen=True)
class Scene:
    """pixels (h, w, 3) uint8 RGB with a long side of 160; boxes (G, 4) float32 left, top, right, bottom of the whole
    objects, the latter two the last painted pixel inside; names of the G objects; where it takes place; masks (G, h, w)
    bool of what can be seen of each; the width and height of a painted pixel in pixels of the picture."""

    pixels: np.ndarray
    boxes: np.ndarray
    names: list[str]
    place: str
    masks: np.ndarray
    painted_pixel: tuple[float, float]

    @property
    def outer_boxes(self) -> np.ndarray:
        """(G, 4) float32 boxes up to the edges of the objects, right and bottom exclusive."""
        return self.boxes + np.float32([0, 0, *self.painted_pixel])


def names_to_learn() -> list[str]:
    """Every word for a thing that pretraining shows, sorted."""
    return sorted({*class_names(), *SOFT_SHAPES})


def shape_of_batch(rng: np.random.Generator) -> float:
    """Width over height of the pictures of one batch, so that they are padded alike."""
    ratios, shares = zip(*SHAPES)
    return ratios[int(rng.choice(len(ratios), p=shares))]


def paint_scene(rng: np.random.Generator, ratio: float, names: list[str]) -> Scene:
    """One scene of width / height about `ratio`: two to eight objects of one to six of `names`, or soft shapes."""
    fine = rng.uniform(1.0, 1.4)  # painted larger and scaled down, as the datasets' pictures are
    long, short = LONG_SIDE * fine, LONG_SIDE * fine / max(ratio, 1 / ratio) * rng.uniform(0.92, 1.0)
    wide, high = (long, short) if ratio >= 1 else (short, long)
    canvas = Canvas(round(wide), round(high))
    if rng.uniform() < SOFT_SHARE:
        found, place = _soft_shapes(canvas, rng), "in the light"
    else:
        found, place = _things(canvas, rng, [name for name in names if name not in SOFT_SHAPES])
    return _scaled(canvas, found, place, rng)


class Found(NamedTuple):
    """An object on its canvas: box with right and bottom exclusive; mask (height, width) bool of what can be seen."""

    name: str
    box: tuple[int, int, int, int]
    mask: np.ndarray


def _things(canvas: Canvas, rng, names: list[str]) -> tuple[list[Found], str]:
    world = int(rng.integers(1, WORLDS))
    count = int(rng.integers(2, 9))
    share = np.array([EMBLEM_SHARE if name in EMBLEMS else 1.0 for name in names])
    chosen = rng.choice(len(names), min(int(rng.integers(1, 7)), count), replace=False, p=share / share.sum())
    kinds = [names[k] for k in chosen]
    wanted = kinds + [kinds[int(rng.integers(len(kinds)))] for _ in range(count - len(kinds))]
    ground_of = list(GROUNDS)[int(rng.integers(len(GROUNDS)))]
    largest = 70 if count <= 3 else 46
    setting = Setting(
        backgrounds=(ground_of,),
        count=(count, count),
        unit=rng.uniform(20, largest) * max(canvas.width, canvas.height) / LONG_SIDE,
        vary=0.4,
        shadow=rng.choice([0.0, 0.3]),
        paint=lambda name, rng, size: _paint(name, rng, size, world),
    )
    ground = ground_of(canvas, rng)
    shown: list[Visible] = []
    placed = put(arrange(wanted, canvas, ground, setting, rng), canvas, ground, setting, rng, shown)
    develop(canvas, rng)
    found = [Found(piece.name, patch.box, visible.mask) for (piece, patch), visible in zip(placed, shown)]
    return found, GROUNDS[ground_of]


def _paint(name: str, rng: np.random.Generator, size: float, world: int) -> Sprite:
    return paint_object(name, rng, size, world=EMBLEM_WORLD if name in EMBLEMS else world, spread=1.5)


def _soft_shapes(canvas: Canvas, rng) -> list[Found]:
    """Clouds of noise with blobs whose edges fade: brighter ("dot"), darker ("hole"), hollow ("ring") or rough
    ("region")."""
    _clouds(canvas, rng)
    found: list[Found] = []
    for _ in range(int(rng.integers(1, 5))):
        name = SOFT_SHAPES[int(rng.integers(len(SOFT_SHAPES)))]
        size = rng.uniform(6, 0.27 * min(canvas.width, canvas.height))
        x, y = rng.uniform(size, canvas.width - size), rng.uniform(size, canvas.height - size)
        if not any(_touches(one.box, x, y, size) for one in found):
            found.append(_soft_shape(canvas, rng, name, x, y, size))
    return found


def paint_soft_shape(canvas: Canvas, rng, name: str) -> None:
    """Clouds of noise with the one soft shape `name`, large and near the middle."""
    _clouds(canvas, rng)
    x, y = rng.uniform(0.4, 0.6) * canvas.width, rng.uniform(0.4, 0.6) * canvas.height
    _soft_shape(canvas, rng, name, x, y, rng.uniform(0.15, 0.38) * canvas.width)


def _clouds(canvas: Canvas, rng) -> None:
    canvas.pixels[:] = mix((60, 60, 64), (190, 190, 186), rng.uniform()) * rng.uniform(0.8, 1.1, 3).astype(np.float32)
    for cells in (2, 5, 13, 40):
        canvas.add_noise(rng, cells=cells, strength=rng.uniform(3, 22))


def _touches(box: tuple[int, int, int, int], x: float, y: float, size: float) -> bool:
    left, top, right, bottom = box
    return left < x + size and x - size < right and top < y + size and y - size < bottom


def _soft_shape(canvas: Canvas, rng, name: str, x: float, y: float, size: float) -> Found:
    wobble = [(rng.uniform(0, 0.22 if name == "region" else 0.1) / (k + 1), rng.uniform(0, 6)) for k in range(3)]
    shape = blob(x, y, size, size * rng.uniform(0.6, 1), angle=rng.uniform(0, 3), wobble=wobble)
    edge = rng.uniform(0.1, 0.6)
    alpha = 1 - smooth(1 - edge, 1 + edge / 3, shape.radius)
    if name == "ring":
        alpha = alpha * smooth(0.35, 0.75, shape.radius)
    if name == "region":
        height, width = alpha.shape
        alpha = alpha * np.clip(0.7 + 0.6 * noise(rng, width, height, 7), 0, 1)
    contrast = rng.uniform(0.25, 0.8)
    colour = (12, 12, 14) if name == "hole" else (250, 250, 246)
    soft = Patch(shape.patch.left, shape.patch.top, alpha.astype(np.float32))
    canvas.paint(soft, colour, opacity=contrast)
    return Found(name, shape.patch.box, Visible(soft, canvas).mask)


def _scaled(canvas: Canvas, found: list[Found], place: str, rng) -> Scene:
    picture = canvas.image()
    scale = LONG_SIDE / max(picture.size)
    size = tuple(round(side * scale) for side in picture.size)
    pixels = weathered(np.asarray(picture.resize(size, Image.Resampling.BILINEAR)), rng)
    boxes = np.array([canvas.clip(one.box) for one in found], np.float32).reshape(-1, 4) - np.float32([0, 0, 1, 1])
    painted_pixel = (size[0] / picture.width, size[1] / picture.height)
    boxes *= np.float32(painted_pixel * 2)
    kept = [k for k, box in enumerate(boxes) if min(box[2:] - box[:2]) > 2]
    masks = np.array([_scaled_mask(found[k].mask, size) for k in kept], bool).reshape(-1, *size[::-1])  # (G, h, w)
    return Scene(pixels, boxes[kept], [found[k].name for k in kept], place, masks, painted_pixel)


def _scaled_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A pixel belongs to the object if at least half of what it is made of does; filtered as the picture is."""
    covered = Image.fromarray(mask.astype(np.uint8) * 255).resize(size, Image.Resampling.BILINEAR)
    return np.asarray(covered) >= 128
