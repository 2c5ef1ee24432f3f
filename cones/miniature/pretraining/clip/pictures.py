"""The pictures that `clip_nano` learns from: picture i is a function of its number, painted once into a file."""

from pathlib import Path

import numpy as np

from cones.miniature.canvas import Canvas, Colour, mix
from cones.miniature.figures.figure import Figure, darker, shifted
from cones.miniature.figures.shapes import OUTLINES
from cones.miniature.icons import COLOURS
from cones.miniature.painter import generator_of
from cones.miniature.patterns import paint_pattern
from cones.miniature.portraits import SIZES, paint_portrait
from cones.miniature.pretraining.clip.recipe import PAINTED_SIDE
from cones.miniature.pretraining.clip.subjects import PATTERNS_OF_THINGS, PLACES, SHAPES, Subject, random_subject
from cones.miniature.pretraining.scenes import GROUNDS, paint_soft_shape
from cones.miniature.scenes import Background, develop
from cones.runtime.artifacts import replacing
from cones.runtime.progress import watched

BACKGROUNDS: dict[str, Background] = dict(zip(PLACES, GROUNDS))
SPREAD = 1.5  # how much pieces of one class differ, beside 1 in the datasets


def subject_number(seed: int, number: int) -> Subject:
    return random_subject(generator_of(repr(("clip subject", seed, number))))


def paint_number(seed: int, number: int, side: int = PAINTED_SIDE) -> np.ndarray:
    """(side, side, 3) uint8."""
    rng = generator_of(repr(("clip picture", seed, number)))
    return np.asarray(paint_subject(subject_number(seed, number), rng, side).image())


def paint_subject(subject: Subject, rng: np.random.Generator, side: int) -> Canvas:
    """A canvas of `side` x `side`."""
    colours = [_shade(COLOURS[word], rng) for word in (subject.colour, subject.second) if word]
    if subject.kind == "thing":
        return paint_portrait(
            subject.name,
            rng,
            side,
            background=BACKGROUNDS[subject.place],
            world=subject.world,
            spread=SPREAD,
            colours=colours or None,
            texture=PATTERNS_OF_THINGS.get(subject.pattern),
        )
    if subject.kind == "pattern":
        return paint_pattern(subject.name, rng, side, tuple(colours))
    canvas = Canvas(side, side, mix((60, 60, 64), (215, 212, 205), rng.uniform()))
    if subject.kind == "shape":
        _shape(canvas, subject, colours, rng)
    elif subject.kind == "place":
        BACKGROUNDS[subject.place](canvas, rng)
    else:
        paint_soft_shape(canvas, rng, subject.name)
    develop(canvas, rng)
    return canvas


def _shape(canvas: Canvas, subject: Subject, colours: list[Colour], rng: np.random.Generator) -> None:
    """A plain outline in one colour, its rim darker, on its place or on one flat tone."""
    if subject.place:
        BACKGROUNDS[subject.place](canvas, rng)
    side = canvas.width
    stretch = tuple(rng.uniform(0.85, 1.15, 2))
    figure = Figure(size=side * rng.uniform(*SIZES), angle=rng.normal(0, 0.25), stretch=stretch, base=colours[0])
    outline = OUTLINES[SHAPES[subject.name]]
    figure.area(outline, darker(colours[0], rng.uniform(0, 0.5)))
    figure.area(outline * 0.9, colours[0])
    x, y = side * rng.uniform(0.4, 0.6, 2)
    figure.place(canvas, x, y, haze=(200, 205, 210), depth=rng.uniform(0, 0.15), light=rng.uniform(0, 0.26))


def _shade(colour: Colour, rng: np.random.Generator) -> Colour:
    return shifted(colour, rng.normal(0, 0.008), rng.uniform(0.85, 1.05), rng.uniform(0.85, 1.05))


def painted_pictures(seed: int, count: int, file: Path) -> np.ndarray:
    """The first `count` pictures (count, side, side, 3) uint8, painted once into `file` and read from there as they are
    asked for."""
    if not file.exists():
        with replacing(file) as temporary:
            shape = (count, PAINTED_SIDE, PAINTED_SIDE, 3)
            pictures = np.lib.format.open_memmap(temporary, mode="w+", dtype=np.uint8, shape=shape)
            for number in watched(range(count), label="painting pictures"):
                pictures[number] = paint_number(seed, number)
            pictures.flush()
    return np.load(file, mmap_mode="r")
