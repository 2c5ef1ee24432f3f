"""What the medical painters share: cloudy textures, wavy outlines over a whole picture, objects from masks."""

from collections.abc import Sequence

import numpy as np

from cones.miniature.canvas import noise
from cones.miniature.painter import Drawn

Waves = Sequence[tuple[int, float, float]]  # (bumps, strength, phase) of an outline


def clouds(rng: np.random.Generator, width: int, height: int, cells: int, octaves: int = 3) -> np.ndarray:
    """(height, width) noise of about -1 … 1 with detail at several scales, the coarsest `cells` bumps across."""
    layers = (noise(rng, width, height, cells * 2**level) / 2**level for level in range(octaves))
    return sum(layers) / sum(0.5**level for level in range(octaves))


def waves(rng: np.random.Generator, strength: float, bumps: Sequence[int] = (2, 3, 5)) -> Waves:
    """Random waves of an outline; higher ones are weaker."""
    return [(k, rng.uniform(0.3, 1) * strength * 2 / k, rng.uniform(0, 2 * np.pi)) for k in bumps]


def away(
    width: int,
    height: int,
    centre: tuple[float, float],
    radii: tuple[float, float],
    *,
    angle: float = 0.0,
    outline: Waves = (),
) -> np.ndarray:
    """(height, width) distance from `centre` in units of an ellipse's outline: below 1 inside, 1 on the edge."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    dx, dy = columns + 0.5 - centre[0], rows + 0.5 - centre[1]
    u = (dx * np.cos(angle) + dy * np.sin(angle)) / radii[0]
    v = (dy * np.cos(angle) - dx * np.sin(angle)) / radii[1]
    distance = np.hypot(u, v)
    if outline:
        theta = np.arctan2(v, u)
        distance = distance / (1 + sum(strength * np.cos(k * theta + phase) for k, strength, phase in outline))
    return distance


def drawn(class_name: str, mask: np.ndarray) -> Drawn:
    """The object that covers `mask` (height, width) bool, which must not be empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
    return Drawn(class_name, box, mask=mask)


def spots(
    rng: np.random.Generator, allowed: np.ndarray, sizes: Sequence[float], gap: float = 1.2
) -> list[tuple[float, float, float]]:
    """(x, y, size) for each size that finds room: centres in `allowed` (height, width) bool, `gap` sizes apart."""
    rows, columns = np.nonzero(allowed)
    placed: list[tuple[float, float, float]] = []
    for size in sizes:
        for _ in range(30 if len(rows) else 0):
            at = int(rng.integers(len(rows)))
            x, y = columns[at] + rng.uniform(), rows[at] + rng.uniform()
            if all(np.hypot(x - a, y - b) > gap * (size + other) for a, b, other in placed):
                placed.append((x, y, size))
                break
    return placed
