"""Skin under a dermatoscope: a mole, even and oval, or a melanoma, ragged and of many colours; hair, vignette."""

import numpy as np

from cones.miniature.canvas import Canvas, mix, noise, smooth
from cones.miniature.painter import Painted
from cones.miniature.tissue import away, clouds, drawn, waves

MALIGNANT = "melanoma"
SKINS = ((236, 196, 182), (222, 172, 158), (232, 186, 160), (206, 158, 140))


def paint(rng: np.random.Generator, classes: list[str], index: int) -> Painted:
    """One lesion on 208–240 x 160–176; about every third picture shows the last class."""
    canvas = Canvas(int(rng.integers(26, 31)) * 8, int(rng.integers(20, 23)) * 8)
    name = classes[-1] if index % 3 == 2 else classes[0]
    _skin(canvas, rng)
    mask = _melanoma(canvas, rng) if name == MALIGNANT else _mole(canvas, rng)
    for _ in range(int(rng.integers(0, 9))):
        _hair(canvas, rng)
    corner = away(canvas.width, canvas.height, (canvas.width / 2, canvas.height / 2), (0.66 * canvas.width,) * 2)
    canvas.pixels *= (1 - rng.uniform(0.25, 0.85) * smooth(0.72, 1.0, corner))[..., None]
    canvas.add_noise(rng, cells=0, strength=4)
    return Painted(canvas.image(), [drawn(name, mask)])


def _skin(canvas: Canvas, rng) -> None:
    tone = np.array(SKINS[int(rng.integers(len(SKINS)))], np.float32)
    flush = clouds(rng, canvas.width, canvas.height, 5)
    canvas.pixels[:] = tone + flush[..., None] * np.array([6, 12, 11], np.float32)
    rows, columns = np.mgrid[0 : canvas.height, 0 : canvas.width].astype(np.float32)
    warp = 3 * noise(rng, canvas.width, canvas.height, 9)
    for slant in (0.5, -0.7):
        lines = np.sin((columns + slant * rows + warp) * rng.uniform(0.7, 0.9))
        canvas.pixels -= (smooth(0.75, 1, lines) * 7)[..., None]


def _place(canvas: Canvas, rng, small: float, large: float) -> dict:
    size = rng.uniform(small, large) * min(canvas.width, canvas.height)
    reach = 0.3 * np.array([canvas.width, canvas.height])
    centre = np.array([canvas.width, canvas.height]) / 2 + rng.uniform(-0.6, 0.6, 2) * np.maximum(reach - size / 2, 4)
    return {"centre": tuple(centre), "radii": (size, size * rng.uniform(0.68, 0.95)), "angle": rng.uniform(0, np.pi)}


def _mole(canvas: Canvas, rng) -> np.ndarray:
    """An even brown oval that fades at its edge; returns its mask."""
    width, height = canvas.width, canvas.height
    radius = away(width, height, **_place(canvas, rng, 0.14, 0.34), outline=waves(rng, 0.05))
    pale, deep = ((196, 134, 104), (122, 74, 50)) if rng.uniform() < 0.6 else ((206, 150, 130), (158, 100, 82))
    body = mix(deep, pale, smooth(0.1, 1.0, radius)) + 9 * clouds(rng, width, height, 14)[..., None]
    body -= (smooth(0.35, 0.9, np.abs(noise(rng, width, height, 40))) * 18)[..., None]  # the pigment network
    canvas.pixels += (body - canvas.pixels) * (1 - smooth(0.78, 1.08, radius))[..., None]
    return radius < 0.97


def _melanoma(canvas: Canvas, rng) -> np.ndarray:
    """A ragged patch of brown, black, blue-grey, red and white; returns its mask."""
    width, height = canvas.width, canvas.height
    radius = away(width, height, **_place(canvas, rng, 0.22, 0.4), outline=waves(rng, 0.26, (2, 3, 5, 7, 11)))
    radius = radius + 0.09 * clouds(rng, width, height, 12)
    body = mix((116, 70, 50), (58, 36, 34), smooth(-0.3, 0.4, clouds(rng, width, height, 5)))
    for colour, share in (((28, 22, 28), 0.25), ((92, 100, 122), 0.4), ((176, 84, 80), 0.45), ((222, 190, 184), 0.6)):
        veil = smooth(share - 0.15, share + 0.4, clouds(rng, width, height, 5) * 1.6)
        body = mix(body, np.asarray(colour, np.float32), veil * 0.85)
    body += (12 * clouds(rng, width, height, 22) - 16 * smooth(0.3, 0.8, np.abs(noise(rng, width, height, 44))))[
        ..., None
    ]
    canvas.pixels += (body - canvas.pixels) * (1 - smooth(0.9, 1.04, radius))[..., None]
    return radius < 0.97


def _hair(canvas: Canvas, rng) -> None:
    from PIL import Image, ImageDraw

    start = rng.uniform(0, 1, 2) * (canvas.width, canvas.height)
    turn, length, bend = rng.uniform(0, 2 * np.pi), rng.uniform(40, 130), rng.uniform(-0.5, 0.5)
    t = np.linspace(0, 1, 14)
    x = start[0] + length * t * np.cos(turn + bend * t)
    y = start[1] + length * t * np.sin(turn + bend * t)
    sheet = Image.new("L", (canvas.width * 2, canvas.height * 2), 0)
    ImageDraw.Draw(sheet).line([(2 * a, 2 * b) for a, b in zip(x, y)], fill=255, width=int(rng.integers(2, 4)))
    alpha = np.asarray(sheet.resize((canvas.width, canvas.height), Image.Resampling.BOX), np.float32) / 255
    canvas.pixels += (np.array([46, 34, 30], np.float32) - canvas.pixels) * (0.8 * alpha)[..., None]
