"""Patterns that fill a picture, each in two colours and called by a word: what a texture dataset shows."""

from collections.abc import Callable

import numpy as np

from cones.miniature.backgrounds import grid
from cones.miniature.canvas import Canvas, Colour, mix, noise, smooth
from cones.miniature.scenes import develop

# (x, y, rng) -> (h, w) of 0 … 1, where the marks are; x and y (h, w) count marks
Field = Callable[[np.ndarray, np.ndarray, np.random.Generator], np.ndarray]
MARK = (8, 16)  # pixels from one mark to the next


def paint_pattern(name: str, rng: np.random.Generator, side: int, colours: tuple[Colour, Colour]) -> Canvas:
    """A canvas of `side` x `side`: marks of the second colour on the first, turned and scaled at random."""
    canvas = Canvas(side, side)
    rows, columns = grid(canvas)
    turn, mark = rng.uniform(0, np.pi), rng.uniform(*MARK)
    bend = rng.uniform(0, 2) * noise(rng, side, side, 3)
    x = ((columns - side / 2) * np.cos(turn) + (rows - side / 2) * np.sin(turn) + bend) / mark
    y = ((rows - side / 2) * np.cos(turn) - (columns - side / 2) * np.sin(turn) + bend) / mark
    canvas.pixels[:] = mix(colours[0], colours[1], PATTERNS[name](x, y, rng))
    canvas.pixels *= (1 + 0.08 * noise(rng, side, side, 4))[..., None]
    develop(canvas, rng)
    return canvas


def _step(value: np.ndarray) -> np.ndarray:
    """Soft edges about a pixel wide."""
    return smooth(-0.12, 0.12, value)


def _near_whole(value: np.ndarray) -> np.ndarray:
    """The distance to the nearest whole number, 0 … 0.5."""
    return np.abs(value - np.round(value))


def _striped(x, y, rng):
    return _step(_near_whole(x) - 0.25)


def _wavy(x, y, rng):
    return _step(_near_whole(x + 0.4 * np.sin(2.2 * y + rng.uniform(0, 6))) - 0.25)


def _zigzag(x, y, rng):
    return _step(_near_whole(x + 1.1 * _near_whole(0.5 * y)) - 0.25)


def _checked(x, y, rng):
    return _step(np.sin(np.pi * x) * np.sin(np.pi * y))


def _grid(x, y, rng):
    return _step(0.1 - np.minimum(_near_whole(x), _near_whole(y)))


def _spotted(x, y, rng):
    shifted = x + 0.5 * (np.round(y) % 2)
    return _step(rng.uniform(0.22, 0.32) - np.hypot(_near_whole(shifted), _near_whole(y)))


def _ringed(x, y, rng):
    return _step(_near_whole(np.hypot(x - rng.uniform(-1, 1), y - rng.uniform(-1, 1))) - 0.25)


def _spiral(x, y, rng):
    x, y = x - rng.uniform(-1, 1), y - rng.uniform(-1, 1)
    return _step(_near_whole(np.hypot(x, y) + np.arctan2(y, x) / (2 * np.pi)) - 0.25)


def _cracked(x, y, rng):
    """The borders between the regions of the nearest of scattered points."""
    points = rng.uniform(min(x.min(), y.min()), max(x.max(), y.max()), (40, 2))
    away = np.sort(np.hypot(x[..., None] - points[:, 0], y[..., None] - points[:, 1]), axis=-1)  # (h, w, points)
    return _step(0.16 - (away[..., 1] - away[..., 0]))


def _cloudy(x, y, rng):
    height, width = x.shape
    total = noise(rng, width, height, 4) + 0.5 * noise(rng, width, height, 9)
    return smooth(-0.6, 0.6, total)


PATTERNS: dict[str, Field] = {
    **{"striped": _striped, "checked": _checked, "spotted": _spotted, "ringed": _ringed, "wavy": _wavy},
    **{"zigzag": _zigzag, "grid": _grid, "spiral": _spiral, "cracked": _cracked, "cloudy": _cloudy},
}
