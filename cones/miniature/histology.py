"""Tissue stained with haematoxylin and eosin: purple nuclei, some touching, in pink fibres with pale gaps."""

import numpy as np

from cones.miniature.canvas import Canvas, blob, mix, noise, smooth
from cones.miniature.painter import Painted
from cones.miniature.tissue import clouds, drawn

SIDE = 192


def paint(rng: np.random.Generator, classes: list[str], index: int) -> Painted:
    """A field of SIDE x SIDE with 25–50 nuclei; masks are what of each is visible, and exclude each other."""
    canvas = Canvas(SIDE, SIDE)
    _stroma(canvas, rng)
    numbers = np.zeros((SIDE, SIDE), np.int32)
    size, stretch, lean = rng.uniform(6.0, 9.0), rng.uniform(0.5, 0.9), rng.uniform(0, np.pi)
    stain = mix((88, 56, 138), (118, 66, 132), rng.uniform())
    for number, (x, y) in enumerate(_places(rng, int(rng.integers(25, 51)), size), start=1):
        _nucleus(canvas, rng, numbers, number, (x, y), size, stretch, lean, stain)
    canvas.add_noise(rng, cells=60, strength=5)
    canvas.add_noise(rng, cells=0, strength=5)
    areas = np.bincount(numbers.ravel())
    visible = [number for number in range(1, len(areas)) if areas[number] >= 24]
    return Painted(canvas.image(), [drawn(classes[0], numbers == number) for number in visible])


def _stroma(canvas: Canvas, rng) -> None:
    tint = rng.uniform(-1, 1)
    pink = np.array([226 + 8 * tint, 160 + 14 * tint, 196 - 4 * tint], np.float32)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    lean = rng.uniform(0, np.pi)
    along = columns * np.cos(lean) + rows * np.sin(lean) + 26 * clouds(rng, SIDE, SIDE, 5)
    fibres = np.sin(along * rng.uniform(0.5, 0.8)) + 0.6 * np.sin(along * 1.3 + 4 * noise(rng, SIDE, SIDE, 9))
    density = clouds(rng, SIDE, SIDE, 4, 4)
    canvas.pixels[:] = pink + (4.5 * fibres * smooth(-0.2, 0.5, density))[..., None] * np.array([0.6, 1.3, 0.9])
    canvas.pixels -= (density[..., None] * np.array([12, 34, 20])).astype(np.float32)
    gaps = smooth(0.42, 0.55, clouds(rng, SIDE, SIDE, 5))
    canvas.pixels += (np.array([244, 238, 243], np.float32) - canvas.pixels) * (0.92 * gaps)[..., None]


def _places(rng, count: int, size: float) -> list[tuple[float, float]]:
    """Centres in loose crowds; neighbours may touch."""
    crowds = rng.uniform(0, SIDE, (int(rng.integers(3, 7)), 2))
    placed: list[tuple[float, float]] = []
    for _ in range(count * 8):
        if len(placed) == count:
            break
        near = crowds[int(rng.integers(len(crowds)))] + rng.normal(0, 34, 2)
        x, y = near if rng.uniform() < 0.6 else rng.uniform(0, SIDE, 2)
        inside = 3 < x < SIDE - 3 and 3 < y < SIDE - 3
        if inside and all(np.hypot(x - a, y - b) > 1.45 * size for a, b in placed):
            placed.append((float(x), float(y)))
    return placed


def _nucleus(canvas, rng, numbers, number, centre, size, stretch, lean, stain) -> None:
    """Paint one nucleus and write its number where no earlier one is."""
    radius = size * rng.uniform(0.72, 1.25)
    ratio = float(np.clip(stretch * rng.uniform(0.8, 1.25), 0.42, 1))
    wobble = [(rng.uniform(0, 0.1) / (k + 1), rng.uniform(0, 2 * np.pi)) for k in range(3)]
    cell = blob(*centre, radius, radius * ratio, angle=lean + rng.normal(0, 0.6), wobble=wobble)
    side = cell.radius.shape[0]
    colour = np.asarray(stain, np.float32) + rng.normal(0, 9)
    chromatin = 20 * noise(rng, side, side, 5) + 9 * noise(rng, side, side, 11)
    open_centre = rng.uniform(0, 46) * (1 - smooth(0.3, 0.85, cell.radius))
    body = colour + (chromatin + open_centre - 22 * smooth(0.72, 0.95, cell.radius))[..., None]
    canvas.paint(cell.patch, body, opacity=rng.uniform(0.72, 0.95))
    left, top = cell.patch.left, cell.patch.top
    window = numbers[max(top, 0) : top + side, max(left, 0) : left + side]
    inside = (cell.patch.alpha > 0.5)[max(-top, 0) :, max(-left, 0) :][: window.shape[0], : window.shape[1]]
    window[inside & (window == 0)] = number
