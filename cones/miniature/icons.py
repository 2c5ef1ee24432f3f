"""The icon world: one bold thing on one flat ground, simple enough for a diffusion model of a few million parameters.

An icon is said in words (class noun, colours, pattern, place), so it can be captioned; the subjects of the miniature
DreamBooth are icons too, each with colours, pattern and figure of its own.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from cones.miniature.canvas import Canvas, Colour
from cones.miniature.figures import animals, icons, toys, vehicles
from cones.miniature.figures.figure import Figure, shifted
from cones.miniature.objects import Draw

COLOURS: dict[str, Colour] = {
    "red": (222, 38, 42),
    "orange": (246, 138, 24),
    "yellow": (250, 216, 44),
    "green": (44, 164, 72),
    "blue": (36, 98, 222),
    "purple": (136, 60, 184),
    "pink": (248, 124, 186),
    "brown": (124, 74, 40),
    "grey": (136, 138, 144),
    "black": (36, 34, 38),
    "white": (246, 244, 240),
}
PATTERNS = ("plain", "striped", "spotted", "checked")
# what DreamBooth's prompts say of places, and the flat colour that stands for it
PLACES: dict[str, Colour] = {
    "in the jungle": (26, 82, 50),
    "in the snow": (224, 236, 246),
    "on the beach": (236, 212, 158),
    "on a cobblestone street": (170, 168, 170),
    "on top of pink fabric": (246, 190, 212),
    "on a dirt road": (166, 122, 88),
    "floating on top of water": (116, 186, 232),
    "on top of a purple rug": (190, 160, 220),
}
# class noun -> the figures that it may be
FIGURES: dict[str, tuple[Draw, ...]] = {
    "backpack": (toys.backpack, toys.dog_backpack),
    "boot": (icons.boot,),
    "bowl": (icons.bowl,),
    "can": (icons.can,),
    "candle": (toys.candle,),
    "cartoon": (icons.cartoon,),
    "cat": (icons.sitting_cat,),
    "clock": (toys.clock,),
    "dog": (icons.standing_dog("flop"), icons.standing_dog("point")),
    "glasses": (icons.glasses,),
    "sneaker": (toys.sneaker,),
    "stuffed animal": (toys.plushie("round"), toys.plushie("point"), toys.plushie("none")),
    "teapot": (icons.teapot,),
    "toy": (animals.duck, toys.monster, toys.robot, toys.swirl, vehicles.car),
    "vase": (icons.vase,),
}
NOUNS = tuple(FIGURES)
TEXTURES = {"striped": ("stripes", 0.52), "spotted": ("spots", 0.56), "checked": ("checks", 0.42)}


@dataclass(frozen=True)
class Icon:
    """What a picture shows, in the world's words; `figure` counts the noun's figures."""

    noun: str
    main: str
    second: str
    pattern: str
    place: str
    figure: int = 0


def random_icon(rng: np.random.Generator) -> Icon:
    """Every word drawn alike; the two colours differ."""
    noun = NOUNS[int(rng.integers(len(NOUNS)))]
    main, second = rng.choice(list(COLOURS), 2, replace=False).tolist()
    pattern, place = PATTERNS[int(rng.integers(len(PATTERNS)))], list(PLACES)[int(rng.integers(len(PLACES)))]
    return Icon(noun, main, second, pattern, place, int(rng.integers(len(FIGURES[noun]))))


def paint_icon(icon: Icon, rng: np.random.Generator, side: int) -> tuple[Image.Image, tuple[int, int, int, int]]:
    """A square picture and the box (left, top, right, bottom) of the icon, right and bottom exclusive.

    Shade, size, place and lean vary a little, and which way it faces; `rng` is the only source of it.
    """
    shades = [_shade(COLOURS[name], rng) for name in (icon.main, icon.second)]
    canvas = Canvas(side, side, _shade(PLACES[icon.place], rng))
    canvas.pixels *= np.linspace(1.04, 0.92, side, dtype=np.float32)[:, None, None]
    patch = _figure(icon, shades, rng, side).place(
        canvas,
        side * rng.uniform(0.48, 0.52),
        side * rng.uniform(0.49, 0.53),
        haze=(255, 255, 255),
        depth=0,
        light=rng.uniform(0.02, 0.08),
    )
    return canvas.image(), canvas.clip(patch.box)


def _figure(icon: Icon, shades: list[Colour], rng: np.random.Generator, side: int) -> Figure:
    figure = Figure(
        size=side * rng.uniform(0.42, 0.46),
        angle=rng.uniform(-0.04, 0.04),
        mirror=rng.uniform() < 0.5,
        stretch=tuple(rng.uniform(0.97, 1.03, 2)),
        base=shades[0],
    )
    FIGURES[icon.noun][icon.figure](figure, rng, shades)
    if icon.pattern != "plain":
        kind, pitch = TEXTURES[icon.pattern]
        figure.texture_on(shades[0], kind, shades[1], rng, pitch=pitch)
    return figure


def _shade(colour: Colour, rng: np.random.Generator) -> Colour:
    return tuple(
        int(c) for c in shifted(colour, rng.normal(0, 0.006), rng.uniform(0.92, 1.05), rng.uniform(0.92, 1.05))
    )
