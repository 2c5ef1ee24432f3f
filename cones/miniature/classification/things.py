"""Sets of things: natural names as in Caltech101, the same through other cameras, and icons."""

from collections.abc import Callable

import numpy as np

from cones.miniature.backgrounds import BACKGROUNDS
from cones.miniature.canvas import LUMA, Canvas
from cones.miniature.classification.pages import SIDE, labelled, turn
from cones.miniature.icons import FIGURES, Icon, paint_icon, random_icon
from cones.miniature.natural import thermal
from cones.miniature.painter import Painted, Painter
from cones.miniature.portraits import paint_portrait

DRAWN_AS = {"cottontail rabbit": "cottontail-rabbit", "chicken of the woods": "CoW"}  # class -> what is painted


def names(finish: Callable[[Canvas, np.random.Generator], None] | None = None) -> Painter:
    """Portraits of world 0, one class after the other; `finish` is the camera that they are seen through."""

    def paint(rng: np.random.Generator, classes: list[str], index: int) -> Painted:
        name, words = turn(classes, index)
        background = BACKGROUNDS[int(rng.integers(len(BACKGROUNDS)))]
        canvas = paint_portrait(DRAWN_AS.get(words, words), rng, SIDE, background=background)
        if finish:
            finish(canvas, rng)
        return labelled(canvas.image(), name)

    return paint


def negative(canvas: Canvas, rng: np.random.Generator) -> None:
    """A negative in black and white."""
    canvas.pixels[:] = 255 - np.clip(canvas.pixels @ LUMA, 0, 255)[..., None]


def icons(rng: np.random.Generator, classes: list[str], index: int) -> Painted:
    """Icons of the classes in any colours, patterns and places."""
    name, words = turn(classes, index)
    said = random_icon(rng)
    figure = int(rng.integers(len(FIGURES[words])))
    icon = Icon(words, said.main, said.second, said.pattern, said.place, figure)
    picture, _ = paint_icon(icon, rng, SIDE)
    return labelled(picture, name)


PAINTERS: dict[str, Painter] = {
    "nano_names": names(),
    "nano_names_negative": names(negative),
    "nano_names_thermal": names(thermal),
    "nano_icons": icons,
}
