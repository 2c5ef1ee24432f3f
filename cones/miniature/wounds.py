"""Feet in a clinic: a sole or a heel on cloth, with one or two ulcers of red, yellow and black, in pale callus."""

import numpy as np

from cones.miniature.canvas import Canvas, mix, noise, smooth
from cones.miniature.painter import Painted
from cones.miniature.tissue import away, clouds, drawn, spots, waves

SKINS = ((226, 176, 150), (208, 152, 122), (234, 190, 168), (172, 118, 90), (128, 84, 62))
CLOTHS = ((96, 138, 172), (70, 116, 110), (206, 210, 212), (58, 60, 66), (140, 176, 190))


def paint(rng: np.random.Generator, classes: list[str], index: int) -> Painted:
    """A foot on 208–224 x 160 with two ulcers in every fourth picture, else one."""
    canvas = Canvas(int(rng.integers(26, 29)) * 8, 160)
    _cloth(canvas, rng)
    foot = _foot(canvas, rng)
    count = 2 if index % 4 == 1 else 1
    sizes = [rng.uniform(9, 27) / (1 if count == 1 else 1.4) for _ in range(count)]
    found = []
    for x, y, size in spots(rng, foot < 0.74, sizes, gap=1.7):
        found.append(drawn(classes[0], _ulcer(canvas, rng, x, y, size)))
    canvas.pixels *= (1 + 0.12 * clouds(rng, canvas.width, canvas.height, 3, 2))[..., None]
    canvas.add_noise(rng, cells=0, strength=4)
    return Painted(canvas.image(), found)


def _cloth(canvas: Canvas, rng) -> None:
    colour = np.array(CLOTHS[int(rng.integers(len(CLOTHS)))], np.float32)
    rows, columns = np.mgrid[0 : canvas.height, 0 : canvas.width].astype(np.float32)
    folds = np.sin((columns * rng.uniform(-1, 1) + rows * rng.uniform(-1, 1)) * 0.06 + rng.uniform(0, 6))
    weave = np.sin(columns * 1.9) * np.sin(rows * 1.9)
    shade = 12 * folds + 4 * weave + 14 * clouds(rng, canvas.width, canvas.height, 4)
    canvas.pixels[:] = colour + shade[..., None]


def _foot(canvas: Canvas, rng) -> np.ndarray:
    """Paint a foot; returns (height, width) distances in units of its outline."""
    width, height = canvas.width, canvas.height
    tilt, side = rng.uniform(-0.2, 0.2), 1 if rng.uniform() < 0.5 else -1
    middle = (width / 2 + rng.uniform(-12, 12), height / 2 + rng.uniform(-8, 8))
    reach = rng.uniform(0.4, 0.5) * width

    def part(along, across, rx, ry):
        x = middle[0] + side * reach * (along * np.cos(tilt) - across * np.sin(tilt))
        y = middle[1] + reach * (along * np.sin(tilt) + across * np.cos(tilt))
        return away(width, height, (x, y), (rx * reach, ry * reach), angle=tilt, outline=waves(rng, 0.02))

    foot = np.minimum.reduce([part(-0.55, 0, 0.5, 0.42), part(0, 0.06, 0.75, 0.4), part(0.42, 0, 0.42, 0.5)])
    toes = [part(0.86 - 0.05 * k, -0.36 + 0.19 * k, 0.2 - 0.02 * k, 0.11 - 0.008 * k) for k in range(5)]
    outline = np.minimum.reduce([foot, *toes])
    skin = np.array(SKINS[int(rng.integers(len(SKINS)))], np.float32)
    body = mix(skin * 1.06, skin * 0.62, smooth(0.35, 1.05, outline)) + 9 * clouds(rng, width, height, 7)[..., None]
    flush = smooth(0.2, 0.8, clouds(rng, width, height, 4))
    body = mix(body, body * np.array([1.04, 0.84, 0.82], np.float32), flush)
    body -= (smooth(0.8, 1, np.sin(40 * foot + 3 * noise(rng, width, height, 8))) * 5)[..., None]
    canvas.pixels *= (1 - 0.35 * (1 - smooth(1.0, 1.2, outline)))[..., None]  # the shadow on the cloth
    canvas.pixels += (body - canvas.pixels) * (1 - smooth(0.97, 1.03, outline))[..., None]
    return outline


def _ulcer(canvas: Canvas, rng, x: float, y: float, size: float) -> np.ndarray:
    """Paint an open wound; returns its mask, callus not included."""
    width, height = canvas.width, canvas.height
    shape = {"centre": (x, y), "radii": (size, size * rng.uniform(0.6, 0.95)), "angle": rng.uniform(0, np.pi)}
    radius = away(width, height, **shape, outline=waves(rng, 0.13)) + 0.07 * clouds(rng, width, height, 16)
    rim = (1 - smooth(1.25, 1.55, radius)) * rng.uniform(0.3, 0.75)
    canvas.pixels += (mix((228, 206, 172), (206, 120, 110), rng.uniform()) - canvas.pixels) * rim[..., None]
    bed = mix((196, 52, 54), (126, 26, 34), smooth(-0.4, 0.5, clouds(rng, width, height, 14)))
    for colour, share in (((214, 186, 104), rng.uniform(0.15, 0.6)), ((38, 28, 26), rng.uniform(0.35, 0.9))):
        bed = mix(bed, np.asarray(colour, np.float32), smooth(share, share + 0.2, 1.5 * clouds(rng, width, height, 9)))
    bed = mix(bed, (88, 20, 28), smooth(0.7, 1.0, radius) * 0.6)
    bed += (70 * smooth(0.72, 0.95, noise(rng, width, height, 44)))[..., None]  # it is wet
    canvas.pixels += (bed - canvas.pixels) * (1 - smooth(0.93, 1.07, radius))[..., None]
    return (radius < 1) & (away(width, height, **shape) < 1.6)
