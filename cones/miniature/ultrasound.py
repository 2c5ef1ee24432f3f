"""Ultrasound of the thyroid: layers of skin and muscle, speckle, and one or two dark or mixed nodules."""

import numpy as np
from PIL import Image

from cones.miniature.canvas import noise, smooth
from cones.miniature.painter import Painted
from cones.miniature.tissue import away, clouds, drawn, spots, waves


def paint(rng: np.random.Generator, classes: list[str], index: int) -> Painted:
    """An image of 192–224 x 152–168; every fifth shows two nodules."""
    width, height = int(rng.integers(24, 29)) * 8, int(rng.integers(19, 22)) * 8
    echo, gland = _neck(rng, width, height)
    found = []
    count = 2 if index % 5 == 3 else 1
    sizes = [rng.uniform(15, 36) / (1 if count == 1 else 1.35) for _ in range(count)]
    for x, y, size in spots(rng, gland, sizes, gap=1.15):
        found.append(drawn(classes[0], _nodule(rng, echo, x, y, size)))
    return Painted(_scanned(rng, echo), found)


def _neck(rng, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """(echo strength 0–1, where a nodule may lie), both (height, width)."""
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    bend = 9 * np.sin(columns / width * rng.uniform(2, 5) + rng.uniform(0, 6)) + 5 * noise(rng, width, height, 4)
    depth = (rows + bend) / height
    top, bottom = rng.uniform(0.22, 0.28), rng.uniform(0.78, 0.86)
    echo = 0.3 + 0.1 * clouds(rng, width, height, 8)
    for layer in (0.05, 0.085, top - 0.03):  # skin and the sheaths of muscles
        echo += 0.42 * np.exp(-(((depth - layer) / 0.011) ** 2))
    muscle = smooth(0.1, 0.12, depth) * (1 - smooth(top - 0.03, top, depth))
    echo -= muscle * (0.13 + 0.07 * np.sin(rows * 1.1 + 4 * noise(rng, width, height, 6)))
    gland = smooth(top, top + 0.04, depth) * (1 - smooth(bottom - 0.03, bottom, depth))
    echo += gland * rng.uniform(0.16, 0.24)
    echo += 0.4 * np.exp(-(((depth - bottom) / 0.012) ** 2))
    side = -1 if rng.uniform() < 0.5 else 1
    vessel = away(
        width, height, (width / 2 + side * width * 0.43, height * 0.6), (width * 0.09, height * rng.uniform(0.1, 0.14))
    )
    echo += (0.05 - echo) * (1 - smooth(0.85, 1.0, vessel)) + 0.3 * np.exp(-(((vessel - 1.03) / 0.06) ** 2))
    trachea = away(width, height, (width / 2 - side * width * 0.5, height * 0.62), (width * 0.13, height * 0.3))
    echo *= 0.25 + 0.75 * smooth(0.8, 1.05, trachea)
    allowed = (depth > top + 0.16) & (depth < bottom - 0.14) & (vessel > 2.6) & (trachea > 1.7)
    return echo, allowed & (columns > 30) & (columns < width - 30)


def _nodule(rng, echo: np.ndarray, x: float, y: float, size: float) -> np.ndarray:
    """Change the echo where the nodule is, and below it; returns its mask."""
    height, width = echo.shape
    shape = {"centre": (x, y), "radii": (size, size * rng.uniform(0.6, 0.95)), "angle": rng.uniform(-0.4, 0.4)}
    radius = away(width, height, **shape, outline=waves(rng, 0.09))
    inside = 1 - smooth(0.92, 1.05, radius)
    dark = rng.uniform(0.08, 0.17) if rng.uniform() < 0.8 else rng.uniform(0.72, 0.85)
    body = dark + 0.08 * clouds(rng, width, height, 12)
    if rng.uniform() < 0.3:  # partly cystic
        body -= 0.3 * smooth(0.0, 0.4, clouds(rng, width, height, 6))
    if rng.uniform() < 0.35:  # calcium
        body += 0.7 * smooth(0.78, 0.9, noise(rng, width, height, 36))
    echo += (body - echo) * inside
    echo -= 0.2 * np.exp(-(((radius - 1.02) / 0.07) ** 2))  # the halo
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    behind = smooth(y, y + size, rows) * np.exp(-(((columns - x) / (0.7 * size)) ** 2)) * (1 - inside)
    echo *= 1 + rng.uniform(-0.3, 0.45) * behind
    return radius < 0.98


def _scanned(rng, echo: np.ndarray) -> Image.Image:
    """Speckle, attenuation with depth and logarithmic compression, as a grey picture."""
    height, width = echo.shape
    grains = rng.standard_normal((2, height, width), dtype=np.float32)
    soft = [np.asarray(Image.fromarray(g).resize((width // 2, height), Image.Resampling.BOX)) for g in grains]
    wide = [np.asarray(Image.fromarray(g).resize((width, height), Image.Resampling.BICUBIC)) for g in soft]
    speckle = np.hypot(wide[0], wide[1]) / 0.9
    fall = np.linspace(1.08, 0.72, height, dtype=np.float32)[:, None]
    signal = np.clip(echo, 0.015, 1.3) * (0.55 + 0.45 * speckle) * fall
    grey = 255 * np.log1p(5 * signal) / np.log1p(5 * 1.25)
    return Image.fromarray(np.clip(grey - 14, 0, 255).astype(np.uint8)).convert("RGB")
