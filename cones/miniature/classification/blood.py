"""Blood cells one by one, as in BloodMNIST: the cell in the middle of a stained smear, red cells around it."""

from collections.abc import Callable
from functools import partial

import numpy as np

from cones.miniature.canvas import Canvas, Patch
from cones.miniature.cells import platelet, red_cell, white_cell
from cones.miniature.classification.pages import SIDE, labelled, turn
from cones.miniature.painter import Painted, Painter

PINK, ORANGE = ((226, 206, 222), (204, 176, 208)), ((236, 190, 170), (216, 140, 120))
Cell = Callable[[Canvas, np.random.Generator, float, float, float], Patch]

# class -> (least and most radius in pixels, numbers of lobes of its nucleus, how it is drawn)
CELLS: dict[str, tuple[tuple[float, float], tuple[int, ...], Cell]] = {
    "red blood cell": ((12, 17), (), red_cell),
    "platelet": ((6, 10), (), platelet),
    "lymphocyte": ((15, 21), (1,), white_cell),
    "neutrophil": ((19, 27), (3, 4), partial(white_cell, plasm=PINK)),
    "eosinophil": ((19, 27), (2,), partial(white_cell, plasm=ORANGE, grain=20)),
}


def paint(rng: np.random.Generator, classes: list[str], index: int) -> Painted:
    name, words = turn(classes, index)
    tint = rng.uniform(-1, 1)
    canvas = Canvas(SIDE, SIDE, (236 + 5 * tint, 226 - 3 * tint, 214 - 8 * tint))
    canvas.add_noise(rng, cells=3, strength=7)
    radii, lobes, draw = CELLS[words]
    radius = rng.uniform(*radii)
    x, y = SIDE / 2 + rng.uniform(-7, 7, 2)
    for _ in range(int(rng.integers(2, 6))):
        angle, around = rng.uniform(0, 2 * np.pi), rng.uniform(10, 14)
        away = radius + around * rng.uniform(0.85, 1.8)
        red_cell(canvas, rng, x + away * np.cos(angle), y + away * np.sin(angle), around)
    draw = partial(draw, lobes=int(rng.choice(lobes))) if lobes else draw
    draw(canvas, rng, x, y, radius)
    canvas.pixels *= rng.uniform(0.85, 1.06) * rng.uniform(0.95, 1.05, 3).astype(np.float32)
    canvas.add_noise(rng, cells=0, strength=6)
    return labelled(canvas.image(), name)


PAINTERS: dict[str, Painter] = {"nano_cells": paint}
