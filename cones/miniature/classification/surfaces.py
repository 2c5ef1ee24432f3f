"""Sets without things: patterns as in DTD, and places as in EuroSAT."""

import numpy as np
from PIL import Image

from cones.miniature import backgrounds as at
from cones.miniature.canvas import Canvas
from cones.miniature.classification.pages import SIDE, labelled, turn
from cones.miniature.icons import COLOURS
from cones.miniature.painter import Painted, Painter
from cones.miniature.patterns import paint_pattern
from cones.miniature.scenes import Background, develop

# the last five are no places of pretraining
PLACES: dict[str, Background] = {
    **{"grass": at.meadow, "street": at.street, "house": at.room, "sea": at.sea, "forest": at.forest_floor},
    **{"wall": at.studio, "table": at.kitchen_table, "garden": at.night_yard, "wood": at.table_top},
    **{"coast": at.coast_from_above, "lawn": at.lawn_at_dusk, "porch": at.porch, "road": at.asphalt},
    "night": at.cool_night,
}
LARGE = 176  # the side on which places are painted: their details have sizes in pixels
PARTS = (96, 176)  # of it, what a picture shows


def patterns(rng: np.random.Generator, classes: list[str], index: int) -> Painted:
    """A pattern in two colours."""
    name, _ = turn(classes, index)
    colours = rng.choice(list(COLOURS), 2, replace=False)
    return labelled(paint_pattern(name, rng, SIDE, tuple(COLOURS[word] for word in colours)).image(), name)


def places(rng: np.random.Generator, classes: list[str], index: int) -> Painted:
    """A place, or a part of it."""
    name, _ = turn(classes, index)
    canvas = Canvas(LARGE, LARGE)
    PLACES[name](canvas, rng)
    develop(canvas, rng)
    part = int(rng.integers(PARTS[0], PARTS[1] + 1))
    left, top = (int(corner) for corner in rng.integers(0, LARGE - part + 1, 2))
    picture = canvas.image().crop((left, top, left + part, top + part))
    return labelled(picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC), name)


PAINTERS: dict[str, Painter] = {"nano_patterns": patterns, "nano_places": places}
