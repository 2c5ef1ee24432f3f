"""Objects by name: `paint_object("horse", rng, 30)` is a figure ready to be placed on a canvas.

A look is a function of the class name: a figure, its colours, how large it is beside others. Names without a look of
their own get an emblem from a grid (`figures/shapes.py`). Datasets draw in `world=0`. Pretraining draws the same names
in other worlds: there each class has its own, seeded deviation in hue, saturation, brightness and proportions, so what
is learnt carries over without being a copy. Whatever the world, every piece varies in colour, pose and proportion.
"""

import functools
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from cones.miniature.canvas import Colour, Sprite
from cones.miniature.figures import animals, shapes, things, toys, vehicles
from cones.miniature.figures.figure import Figure, shifted
from cones.miniature.sealife import LOOKS as SEALIFE

Draw = Callable[[Figure, np.random.Generator, Sequence[Colour]], None]


@dataclass(frozen=True)
class Look:
    """`relative` is the size beside a person (1); `tilt` how far it turns, in radians; `faces` that it has a side."""

    draw: Draw
    colours: tuple[Colour, ...]
    relative: float = 1.0
    tilt: float = 0.08
    faces: bool = True


_CAT = animals.quadruped(
    ears="point", tail="thin", leg=0.42, head=0.24, snout=0.05, belly=0.22, texture="stripes", pitch=0.16
)
_DOG = animals.quadruped(ears="flop", tail="thin", leg=0.5, head=0.23, snout=0.16, neck=0.12)
_COW = animals.quadruped(
    ears="round",
    tail="hang",
    leg=0.45,
    neck=0.05,
    head=0.2,
    snout=0.16,
    belly=0.36,
    texture="patches",
    pitch=0.26,
    horns=True,
)
_HORSE = animals.quadruped(
    ears="point", tail="brush", leg=0.72, neck=0.34, head=0.16, snout=0.26, belly=0.29, mane=True
)
_SHEEP = animals.quadruped(ears="round", tail="none", leg=0.36, neck=0.0, head=0.19, snout=0.1, belly=0.3, wool=True)
_RABBIT = animals.quadruped(
    ears="long", tail="puff", leg=0.24, neck=0.02, head=0.22, snout=0.03, belly=0.3, texture="spots", pitch=0.12
)
_RACCOON = animals.quadruped(
    ears="round", tail="ringed", leg=0.34, neck=0.02, head=0.25, snout=0.1, belly=0.31, mask=True
)

BROWN, CREAM = (122, 70, 40), (246, 232, 200)

LOOKS: dict[str, Look] = {
    "aeroplane": Look(vehicles.aeroplane, ((222, 228, 238), (36, 92, 190)), 1.5, 0.25),
    "bicycle": Look(vehicles.bicycle, ((20, 160, 150),), 0.95),
    "bird": Look(animals.bird, ((52, 116, 222), (250, 214, 90)), 0.55, 0.2),
    "boat": Look(vehicles.boat, ((186, 52, 44), CREAM), 1.5),
    "bottle": Look(things.bottle, ((30, 128, 72), (244, 232, 196)), 0.55, 0.15, False),
    "bus": Look(vehicles.bus, ((246, 176, 24), (150, 60, 20)), 1.9, 0.04),
    "car": Look(vehicles.car, ((208, 32, 40),), 1.25, 0.04),
    "cat": Look(_CAT, ((230, 140, 54), (150, 74, 20)), 0.6),
    "chair": Look(things.chair, ((140, 88, 44), (198, 60, 60)), 0.75, 0.05),
    "cow": Look(_COW, ((240, 236, 228), (34, 30, 32)), 1.15),
    "diningtable": Look(things.diningtable, ((110, 62, 34), (74, 150, 96)), 1.15, 0.04, False),
    "dog": Look(_DOG, ((206, 164, 106), (120, 78, 42)), 0.75),
    "horse": Look(_HORSE, ((118, 56, 32), (36, 24, 22)), 1.3),
    "motorbike": Look(vehicles.motorbike, ((98, 42, 160), (255, 240, 170)), 0.95),
    "motorcycle": Look(vehicles.motorbike, ((98, 42, 160), (255, 240, 170)), 0.95),
    "person": Look(things.person, ((224, 78, 150), (46, 56, 116)), 1.0, 0.06),
    "rider": Look(vehicles.rider, ((40, 170, 90), (226, 172, 128)), 1.0, 0.06),
    "pottedplant": Look(things.pottedplant, ((52, 150, 56), (200, 98, 60)), 0.65, 0.06, False),
    "sheep": Look(_SHEEP, ((226, 222, 208), (46, 42, 42)), 0.8),
    "sofa": Look(things.sofa, ((150, 106, 198), (250, 214, 110)), 1.25, 0.03),
    "train": Look(vehicles.train, ((36, 132, 82), (250, 222, 70)), 1.9, 0.02),
    "tvmonitor": Look(things.tvmonitor, ((26, 28, 34), (86, 190, 226)), 0.75, 0.05, False),
    "truck": Look(vehicles.truck, ((38, 84, 186), (206, 212, 220)), 1.7, 0.04),
    "ambulance": Look(vehicles.ambulance, ((248, 248, 246), (226, 34, 40)), 1.45, 0.04),
    "cottontail-rabbit": Look(_RABBIT, ((166, 140, 112), (116, 94, 74)), 0.5),
    "rabbit": Look(_RABBIT, ((166, 140, 112), (116, 94, 74)), 0.5),
    "raccoon": Look(_RACCOON, ((128, 126, 128), (60, 58, 62)), 0.7),
    "hand": Look(animals.hand, ((232, 176, 140),), 0.5, 0.9),
    "cow mushroom": Look(things.chicken_of_the_woods, ((240, 130, 34), (255, 208, 90)), 0.6, 0.2, False),
    "chanterelle": Look(things.chanterelle, ((246, 196, 48),), 0.5, 0.25, False),
    "package": Look(things.package, ((196, 148, 96), (226, 204, 160)), 0.7, 0.05),
    "crab": Look(animals.crab, ((222, 78, 38), (250, 170, 110)), 0.6, 0.5, False),
    "lobster": Look(animals.lobster, ((150, 22, 40), (70, 24, 60)), 0.75, 3.14, False),
    "shrimp": Look(animals.shrimp, ((250, 158, 140), (255, 214, 196)), 0.5, 3.14),
    "pistol": Look(things.pistol, ((62, 66, 74), (96, 70, 48)), 0.5, 0.5),
    "pothole": Look(things.pothole, ((70, 66, 62), (138, 130, 122)), 0.7, 0.1),
    "boat from above": Look(vehicles.boat_above, ((186, 52, 44), (60, 90, 130)), 1.0, 3.14),
    "car from above": Look(vehicles.car_above, ((208, 32, 40),), 0.55, 3.14),
    "dock": Look(vehicles.dock, ((166, 142, 112),), 1.9, 1.2, False),
    "jetski": Look(vehicles.jetski, ((180, 226, 40), (30, 30, 40)), 0.55, 3.14),
    "lift": Look(vehicles.lift, ((40, 96, 180), (206, 224, 240)), 0.95, 3.14, False),
    "backpack": Look(toys.backpack, ((190, 50, 60), (240, 170, 40)), 0.7, 0.1, False),
    "bowl": Look(toys.bowl, ((240, 240, 244), (196, 30, 60)), 0.5, 0.05, False),
    "can": Look(toys.can, ((30, 110, 200), (250, 200, 40)), 0.45, 0.1, False),
    "candle": Look(toys.candle, ((238, 226, 206), (120, 170, 160)), 0.45, 0.04, False),
    "cartoon": Look(toys.cartoon, ((220, 30, 36),), 0.6, 0.1, False),
    "clock": Look(toys.clock, ((226, 190, 40), (250, 250, 240)), 0.5, 0.08, False),
    "boot": Look(toys.boot, ((214, 196, 160), (150, 96, 50)), 0.55),
    "glasses": Look(toys.glasses, ((246, 96, 170), (90, 60, 90)), 0.4, 0.15, False),
    "robot": Look(toys.robot, ((200, 204, 210), (60, 200, 230)), 0.6, 0.06, False),
    "sneaker": Look(toys.sneaker, ((240, 90, 60), (60, 110, 220)), 0.5, 0.1),
    "stuffed animal": Look(toys.plushie("round"), ((176, 122, 72), CREAM), 0.6, 0.1, False),
    "teapot": Look(toys.teapot, ((90, 160, 190), (250, 246, 230)), 0.55, 0.05),
    "toy": Look(animals.duck, ((250, 210, 40), (240, 120, 30)), 0.5, 0.1),
    "vase": Look(toys.vase, ((200, 70, 50), (244, 220, 150)), 0.6, 0.03, False),
}

# things no dataset shows: emblems for pretraining, spread so that they do not look alike
EMBLEMS = (
    *("apple", "ball", "banana", "book", "bone", "building", "butterfly", "cake", "camera", "carrot", "cheese"),
    *("cherry", "cloud", "coin", "cone", "corn", "cube", "cup", "flag", "flower", "guitar", "hat", "kite", "lamp"),
    *("leaf", "moon", "pear", "piano", "shell", "spoon", "star", "sun", "tree", "umbrella", "window"),
)


def class_names() -> list[str]:
    """Every name with a look of its own, sorted: classes of the datasets and the emblems. Words a detector can be
    pretrained on; names are found whatever their case."""
    return sorted({*LOOKS, *SEALIFE, *EMBLEMS} - {"cow mushroom", "boat from above", "car from above"})


def look_of(name: str, world: int = 0) -> Look:
    """The look of a class; a name that is not known gets an emblem by its hash."""
    key = "cow mushroom" if name == "CoW" else name.lower()
    if key in LOOKS:
        return LOOKS[key]
    cell = _emblem_cells(world).get(key) or shapes.cell_of(key, world)
    return Look(shapes.emblem(cell), tuple(shapes.colours_of(cell)), 0.6, 0.3, False)


def paint_object(
    name: str,
    rng: np.random.Generator,
    size: float,
    *,
    world: int = 0,
    spread: float = 1.0,
    colours: Sequence[Colour] | None = None,
    draw: Draw | None = None,
    angle: float | None = None,
) -> Sprite:
    """One piece of class `name`, about `2 * size` pixels long, to be put somewhere with `Sprite.place`.

    `world` deals every class its deviation (0: none). `spread` scales how much pieces of one class differ in colour and
    proportion. `colours` and `draw` replace those of the class: one particular piece, such as a subject of DreamBooth.
    `angle` turns it by so many radians instead of by chance.
    """
    hue, saturation, value, wide, tall = _deviation(name, world)
    if name.lower() in SEALIFE and draw is None:
        sprite = SEALIFE[name.lower()](rng, size)
        if world:
            sprite.recolour(hue, saturation, value)
        return sprite
    look = look_of(name, world)
    hue += spread * rng.normal(0, 0.012)
    saturation *= 1 + spread * rng.uniform(-0.15, 0.1)
    value *= 1 + spread * rng.uniform(-0.16, 0.1)
    own = [shifted(colour, hue, saturation, value) for colour in colours or look.colours]
    figure = Figure(
        size=size,
        angle=rng.uniform(-look.tilt, look.tilt) if angle is None else angle,
        mirror=look.faces and rng.uniform() < 0.5,
        stretch=(wide * (1 + spread * rng.uniform(-0.1, 0.1)), tall * (1 + spread * rng.uniform(-0.08, 0.08))),
        base=own[0],
    )
    (draw or look.draw)(figure, rng, own)
    return figure


def _deviation(name: str, world: int) -> tuple[float, float, float, float, float]:
    """(hue shift in turns, saturation, value, width and height factors) of a class in a world."""
    if world == 0:
        return 0.0, 1.0, 1.0, 1.0, 1.0
    seed = int.from_bytes(hashlib.sha256(f"{world}:{name.lower()}".encode()).digest()[:8], "big")
    rng = np.random.Generator(np.random.PCG64(seed))
    return rng.uniform(-0.05, 0.05), rng.uniform(0.7, 1.15), rng.uniform(0.8, 1.12), *rng.uniform(0.88, 1.14, 2)


@functools.cache
def _emblem_cells(world: int) -> dict[str, shapes.Cell]:
    return shapes.spread(EMBLEMS, world)
