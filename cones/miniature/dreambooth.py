"""Thirty subjects, four to six pictures each, packed as the DreamBooth repository.

A subject is one particular thing: its figure and its colours stay, light, place and pose change. The text file of class
words and prompts is that of github.com/google/dreambooth (CC BY 4.0), word for word.
"""

import itertools
from importlib import resources

import numpy as np

from cones.data.registry import Dataset, Source
from cones.miniature import backgrounds
from cones.miniature.canvas import Canvas, Colour
from cones.miniature.figures import animals, toys, vehicles
from cones.miniature.layouts import ORIGIN, Page, jpeg
from cones.miniature.objects import Draw, look_of, paint_object
from cones.miniature.painter import Drawn, Painted
from cones.miniature.scenes import develop

PROMPTS = "dreambooth_prompts_and_classes.txt"
PLACES = (backgrounds.room, backgrounds.meadow, backgrounds.studio, backgrounds.forest_floor, backgrounds.table_top)
WHITE, BLACK = (244, 242, 238), (34, 32, 36)

_PUP = animals.quadruped(ears="flop", tail="brush", leg=0.34, head=0.27, snout=0.08, belly=0.26)
_SPITZ = animals.quadruped(ears="point", tail="brush", leg=0.42, head=0.24, snout=0.13, belly=0.3)
_SPOTTED = animals.quadruped(ears="flop", tail="thin", leg=0.46, head=0.24, snout=0.12, texture="patches", pitch=0.3)
_PLAIN_CAT = animals.quadruped(ears="point", tail="thin", leg=0.38, head=0.26, snout=0.03, belly=0.24)

# subject -> (pictures, the class whose look it has, its colours or None, a figure of its own or None)
Subject = tuple[int, str, tuple[Colour, ...] | None, Draw | None]
SUBJECTS: dict[str, Subject] = {
    "backpack": (6, "backpack", None, None),
    "backpack_dog": (5, "backpack", ((206, 160, 104), (240, 220, 180)), toys.dog_backpack),
    "bear_plushie": (5, "stuffed animal", None, None),
    "berry_bowl": (6, "bowl", None, None),
    "can": (6, "can", None, None),
    "candle": (5, "candle", None, None),
    "cat": (5, "cat", None, None),
    "cat2": (5, "cat", ((120, 124, 134), (80, 84, 94)), _PLAIN_CAT),
    "clock": (6, "clock", None, None),
    "colorful_sneaker": (5, "sneaker", ((60, 190, 120), (240, 70, 160)), None),
    "dog": (5, "dog", ((226, 170, 100), (190, 120, 60)), _PUP),
    "dog2": (6, "dog", ((240, 232, 220), (200, 150, 100)), _SPITZ),
    "dog3": (6, "dog", (BLACK, (120, 70, 40)), None),
    "dog5": (5, "dog", ((150, 96, 60), (90, 54, 34)), _PUP),
    "dog6": (5, "dog", ((222, 150, 74), WHITE), _SPITZ),
    "dog7": (5, "dog", (WHITE, (60, 50, 48)), _SPOTTED),
    "dog8": (5, "dog", ((140, 144, 152), (80, 82, 90)), None),
    "duck_toy": (4, "toy", None, None),
    "fancy_boot": (6, "boot", None, None),
    "grey_sloth_plushie": (5, "stuffed animal", ((140, 140, 144), (206, 200, 190)), toys.plushie("none")),
    "monster_toy": (5, "toy", ((70, 190, 160), (250, 210, 90)), toys.monster),
    "pink_sunglasses": (6, "glasses", None, None),
    "poop_emoji": (5, "toy", ((130, 84, 48), WHITE), toys.swirl),
    "rc_car": (5, "toy", ((60, 130, 240), BLACK), vehicles.car),
    "red_cartoon": (4, "cartoon", None, None),
    "robot_toy": (5, "toy", ((200, 204, 210), (60, 200, 230)), toys.robot),
    "shiny_sneaker": (6, "sneaker", ((226, 200, 90), (250, 240, 200)), None),
    "teapot": (5, "teapot", None, None),
    "vase": (6, "vase", None, None),
    "wolf_plushie": (5, "stuffed animal", ((90, 94, 108), (226, 226, 230)), toys.plushie("point")),
}


def paint(rng: np.random.Generator, classes: list[str], index: int) -> Painted:
    """Picture `index` of all subjects in the order of `classes`: one subject, large, on one of PLACES."""
    owners = list(itertools.chain.from_iterable([name] * SUBJECTS[name][0] for name in classes))
    subject = owners[index]
    _, look, colours, figure = SUBJECTS[subject]
    side = 8 * int(rng.integers(20, 25))
    canvas = Canvas(side, side)
    ground = PLACES[index % len(PLACES)](canvas, rng)
    sprite = paint_object(
        look,
        rng,
        side * rng.uniform(0.24, 0.38),
        spread=0.4,
        colours=colours or look_of(look).colours,
        draw=figure,
        angle=rng.uniform(-0.12, 0.12),
    )
    x, y = side * rng.uniform(0.42, 0.58), side * rng.uniform(0.5, 0.6)
    patch = sprite.place(canvas, x, y, haze=ground.haze, depth=rng.uniform(0, 0.08), light=rng.uniform(0.1, 0.3))
    develop(canvas, rng)
    return Painted(canvas.image(), [Drawn(subject, canvas.clip(patch.box))])


def layout(dataset: Dataset, source: Source, pages: list[Page]) -> dict[str, bytes]:
    """GitHub's zip of the repository: one top folder, dataset/<subject>/00.jpg … and the text files."""
    top = f"{source.archives[0].strip}"
    root = f"{top}/{source.format.parameters['root']}"
    text = resources.files("cones.miniature").joinpath(PROMPTS).read_bytes()
    files = {
        f"{top}/README.md": f"# DreamBooth\n{ORIGIN}\n".encode(),
        f"{root}/prompts_and_classes.txt": text,
        f"{root}/references_and_licenses.txt": f"{ORIGIN}\n".encode(),
    }
    for subject, members in itertools.groupby(pages, key=lambda page: page.painted.objects[0].class_name):
        for number, page in enumerate(members):
            files[f"{root}/{subject}/{number:02d}.jpg"] = jpeg(page)
    return files
