"""The inside of a colon: moist red folds around a dark lumen, in the black corners of an endoscope, with polyps."""

import numpy as np

from cones.miniature.canvas import Canvas, mix, noise, smooth
from cones.miniature.painter import Painted
from cones.miniature.tissue import away, clouds, drawn, spots, waves

TONES = ((206, 112, 84), (218, 132, 96), (196, 92, 78), (222, 146, 118))


def paint(rng: np.random.Generator, classes: list[str], index: int) -> Painted:
    """A view of 192–216 x 168–184; every sixth shows two polyps."""
    canvas = Canvas(int(rng.integers(24, 28)) * 8, int(rng.integers(21, 24)) * 8)
    width, height = canvas.width, canvas.height
    frame = _frame(width, height)
    lumen = _colon(canvas, rng)
    count = 2 if index % 6 == 4 else 1
    sizes = [rng.uniform(18, 42) / (1 if count == 1 else 1.5) for _ in range(count)]
    found = []
    for x, y, size in spots(rng, (lumen > 1.7) & (frame < 0.74), sizes, gap=1.3):
        mask = _polyp(canvas, rng, x, y, size) & (frame < 1)
        found.append(drawn(classes[0], mask))
    _wet(canvas, rng, rng.uniform(0.88, 0.97))
    canvas.pixels *= (1 - smooth(0.99, 1.01, frame))[..., None]
    canvas.pixels += 6
    if rng.uniform() < 0.4:  # the position of the scope
        canvas.pixels[height - 34 : height - 6, 5:33] = (26, 88, 52)
        for one in found:
            one.mask[height - 34 : height - 6, 5:33] = False
        found = [drawn(one.class_name, one.mask) for one in found]
    canvas.add_noise(rng, cells=0, strength=4)
    return Painted(canvas.image(), found)


def _frame(width: int, height: int) -> np.ndarray:
    """(height, width): above 1 in the black corners."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    x, y = np.abs(columns / width * 2 - 1), np.abs(rows / height * 2 - 1)
    return np.maximum.reduce([x / 0.96, y / 0.97, (x + y) / 1.62])


def _colon(canvas: Canvas, rng) -> np.ndarray:
    """Paint the wall; returns the distance in units of the dark lumen."""
    width, height = canvas.width, canvas.height
    centre = (width * rng.uniform(0.2, 0.8), height * rng.uniform(0.2, 0.8))
    size = rng.uniform(16, 30)
    lumen = away(width, height, centre, (size, size * rng.uniform(0.7, 1)), outline=waves(rng, 0.16))
    tone = np.array(TONES[int(rng.integers(len(TONES)))], np.float32)
    wall = tone + clouds(rng, width, height, 5)[..., None] * np.array([14, 22, 18], np.float32)
    warped = lumen + 0.5 * noise(rng, width, height, 4)
    folds = np.sin(warped * rng.uniform(1.6, 2.4) + rng.uniform(0, 6))  # rings around the lumen
    wall *= (1 + 0.2 * folds - 0.22 * smooth(0.75, 1, folds))[..., None]
    vessels = smooth(0.93, 1.0, 1 - np.abs(clouds(rng, width, height, 9, 2))) * smooth(1.5, 3, lumen)
    wall -= vessels[..., None] * np.array([15, 27, 20], np.float32)
    light = away(width, height, (width / 2, height / 2), (width * 0.66, height * 0.72))
    wall *= (1.12 - 0.5 * smooth(0.2, 1.1, light) - 0.85 * (1 - smooth(0.5, 2.0, lumen)))[..., None]
    canvas.pixels[:] = np.clip(wall, 6, 250)
    return lumen


def _polyp(canvas: Canvas, rng, x: float, y: float, size: float) -> np.ndarray:
    """Paint a dome that is lit from the middle of the view; returns its mask."""
    width, height = canvas.width, canvas.height
    shape = {"centre": (x, y), "radii": (size, size * rng.uniform(0.7, 0.98)), "angle": rng.uniform(0, np.pi)}
    radius = away(width, height, **shape, outline=waves(rng, 0.07))
    toward = np.array([width / 2 - x, height / 2 - y])
    toward = toward / max(np.hypot(*toward), 1)
    shadow = away(width, height, (x - 6 * toward[0], y - 6 * toward[1] + 3), (size * 1.12, size * 1.02))
    canvas.pixels *= (1 - 0.48 * (1 - smooth(0.8, 1.15, shadow)))[..., None]
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    tilt = ((columns - x) * toward[0] + (rows - y) * toward[1]) / size
    tone = mix((222, 120, 104), (198, 78, 74), rng.uniform()) if rng.uniform() < 0.7 else (232, 168, 140)
    pits = 13 * noise(rng, width, height, 34) + 15 * clouds(rng, width, height, 12)
    dome = np.asarray(tone, np.float32) * (1.08 - 0.42 * radius**2 + 0.2 * tilt)[..., None] + pits[..., None]
    canvas.pixels += (np.clip(dome, 10, 252) - canvas.pixels) * (1 - smooth(0.94, 1.05, radius))[..., None]
    glint = away(width, height, (x + 0.3 * size * toward[0], y + 0.3 * size * toward[1]), (size * 0.2, size * 0.13))
    canvas.pixels += (np.array([255, 250, 244], np.float32) - canvas.pixels) * (1 - smooth(0.6, 1.1, glint))[..., None]
    return radius < 1


def _wet(canvas: Canvas, rng, threshold: float) -> None:
    """Small reflections on the wall."""
    glints = smooth(threshold, threshold + 0.08, noise(rng, canvas.width, canvas.height, 40))
    canvas.pixels += (np.array([255, 248, 240], np.float32) - canvas.pixels) * (0.75 * glints)[..., None]
