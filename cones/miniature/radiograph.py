"""Chest radiographs: dark lungs behind ribs, spine, heart and diaphragm; tuberculosis as cloudy bright opacities."""

import numpy as np

from cones.miniature.canvas import Canvas, noise, smooth
from cones.miniature.painter import Painted
from cones.miniature.tissue import away, clouds, drawn, spots, waves

SIDE = 208
CONTRAST = 0.27  # of the grey scale, at least: fainter blobs are invisible to a small frozen encoder


def paint(rng: np.random.Generator, classes: list[str], index: int) -> Painted:
    """A film of SIDE x SIDE with one to three opacities, mostly in the upper lungs."""
    lungs = _lungs(rng)
    grey = _chest(rng, lungs)
    found = []
    upper = (np.arange(SIDE) < 0.62 * SIDE)[:, None] if rng.uniform() < 0.75 else np.full((SIDE, 1), True)
    sizes = [rng.uniform(13, 27) for _ in range((1, 2, 1, 3)[index % 4])]
    inside = 1 - smooth(0.9, 1.15, lungs)
    beside = np.abs(np.arange(SIDE) - SIDE / 2)[None] > 0.15 * SIDE  # of spine and heart
    for x, y, size in spots(rng, (lungs < 0.72) & upper & beside, sizes, gap=1.25):
        shape = away(
            SIDE, SIDE, (x, y), (size, size * rng.uniform(0.65, 1)), angle=rng.uniform(0, 3), outline=waves(rng, 0.12)
        )
        lumps = 0.75 + 0.35 * clouds(rng, SIDE, SIDE, 18)
        grey += 255 * rng.uniform(CONTRAST, 0.42) * (1 - smooth(0.5, 1.1, shape)) * lumps * (0.4 + 0.6 * inside)
        if rng.uniform() < 0.2:  # a cavity
            grey -= 62 * (1 - smooth(0.3, 0.45, shape))
        found.append(drawn(classes[0], shape < 0.95))
    canvas = Canvas(SIDE, SIDE)
    canvas.pixels[:] = (np.clip(grey, 0, 250) + 4 * noise(rng, SIDE, SIDE, 0))[..., None]
    return Painted(canvas.image(), found)


def _lungs(rng) -> np.ndarray:
    """(SIDE, SIDE) distance in units of the nearer lung's outline."""
    middle, top = SIDE / 2 + rng.uniform(-5, 5), SIDE * rng.uniform(0.44, 0.5)
    spread, tall = SIDE * rng.uniform(0.205, 0.23), SIDE * rng.uniform(0.32, 0.37)
    wide = SIDE * rng.uniform(0.155, 0.18)
    sides = []
    for sign in (-1, 1):
        lung = away(
            SIDE,
            SIDE,
            (middle + sign * spread, top),
            (wide, tall),
            angle=sign * 0.12,
            outline=[(3, 0.09, np.pi / 2), *waves(rng, 0.02)],
        )
        rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
        base = top + tall * (0.72 if sign < 0 else 0.78)  # the diaphragm's dome
        dome = base + ((columns - middle - sign * spread) / wide) ** 2 * 9
        sides.append(np.maximum(lung, 1 + (rows - dome) / 26))
    return np.minimum(*sides)


def _chest(rng, lungs: np.ndarray) -> np.ndarray:
    """(SIDE, SIDE) grey of a healthy chest."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    body = away(SIDE, SIDE, (SIDE / 2, SIDE * 0.62), (SIDE * 0.52, SIDE * 0.66), outline=[(4, 0.05, np.pi)])
    neck = away(SIDE, SIDE, (SIDE / 2, 0), (SIDE * 0.17, SIDE * 0.2))
    grey = 12 + (1 - smooth(0.86, 1.0, np.minimum(body, neck))) * (128 + 16 * clouds(rng, SIDE, SIDE, 4))
    grey += 56 * smooth(0.6, 0.8, rows / SIDE) * (grey > 60)  # the belly is thick
    inside = 1 - smooth(0.86, 1.04, lungs)
    grey += inside * (rng.uniform(38, 58) - grey)
    grey += 17 * inside * clouds(rng, SIDE, SIDE, 7, 4) + 16 * inside * np.abs(noise(rng, SIDE, SIDE, 34))
    middle = (columns - SIDE / 2) / SIDE
    for rib in np.linspace(0.06, 0.84, 9):
        bow = rows / SIDE - rib - 0.42 * np.abs(middle) + 1.15 * middle**2
        edge = np.exp(-((bow / 0.011) ** 2)) + 0.55 * np.exp(-(((bow - 0.028) / 0.01) ** 2))
        grey += (
            rng.uniform(20, 34) * edge * smooth(0.04, 0.1, np.abs(middle)) * (1 - smooth(0.34, 0.44, np.abs(middle)))
        )
    grey += 58 * np.exp(-((middle / 0.055) ** 2)) * (0.85 + 0.15 * np.sin(rows * 0.42))
    heart = away(SIDE, SIDE, (SIDE * 0.555, SIDE * 0.64), (SIDE * 0.165, SIDE * 0.17), angle=0.5)
    grey += 66 * (1 - smooth(0.72, 1.05, heart)) * inside + 34 * np.exp(-((middle / 0.1) ** 2)) * inside
    for sign in (-1, 1):
        clavicle = rows / SIDE - 0.165 + sign * 0.3 * middle
        band = np.exp(-((clavicle / 0.018) ** 2)) * smooth(0.03, 0.07, sign * middle)
        grey += 30 * band * (1 - smooth(0.36, 0.42, np.abs(middle)))
    return grey
