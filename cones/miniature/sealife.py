"""An aquarium: blue-green water with shafts of light, sand and weed, and seven animals with looks of their own.

`LOOKS[class name]` draws that class; a data set of natural pictures that knows the same class may share its look.
"""

from collections.abc import Callable

import numpy as np

from cones.miniature.canvas import Canvas, Sprite, curve, mix, noise, smooth
from cones.miniature.painter import Drawn, Painted


def paint(rng: np.random.Generator, classes: list[str], index: int) -> Painted:
    """A scene of 160–200 x 128–168 with two to nine animals; class `index mod K` is always among them."""
    canvas = Canvas(int(rng.integers(20, 26)) * 8, int(rng.integers(16, 22)) * 8)
    water = _water(canvas, rng)
    drawn: list[Drawn] = []
    names = [classes[index % len(classes)]]
    for _ in range(int(rng.integers(1, 4))):
        names.append(classes[int(rng.integers(len(classes)))])
    herd = [name for name in names for _ in range(int(rng.integers(*SHOAL.get(name, (1, 2)))))]
    first, *others = [(rng.uniform(*SIZES[name]), name) for name in herd]
    for size, name in [first, *sorted(others)]:  # the far and small before the near and large
        spot = _free_spot(rng, canvas, drawn, size)
        if spot is None:
            continue
        sprite = LOOKS[name](rng, size)
        depth = rng.uniform(0.02, 0.32)
        patch = sprite.place(canvas, *spot, haze=water, depth=depth)
        drawn.append(Drawn(name, canvas.clip(patch.box)))
    canvas.add_noise(rng, cells=7, strength=5)
    canvas.add_noise(rng, cells=0, strength=5)
    return Painted(canvas.image(), drawn)


def _free_spot(rng, canvas, drawn, size: float) -> tuple[float, float] | None:
    """A place where little of what is already there gets covered; the first animal always finds one."""
    for _ in range(30):
        inset = 0.7 * size
        x, y = rng.uniform(inset, canvas.width - inset), rng.uniform(inset, canvas.height - inset)
        if all(_covered(one.box, x, y, 0.8 * size) < 0.3 for one in drawn):
            return x, y
    return None


def _covered(box, x: float, y: float, reach: float) -> float:
    """The share of `box` that a square around (x, y) would hide."""
    left, top, right, bottom = box
    width = min(right, x + reach) - max(left, x - reach)
    height = min(bottom, y + reach) - max(top, y - reach)
    return max(width, 0) * max(height, 0) / max((right - left) * (bottom - top), 1)


def _water(canvas: Canvas, rng) -> np.ndarray:
    """Paint the background; returns the colour that distance fades into."""
    hue = rng.uniform(0, 1)
    top = mix((120, 196, 214), (110, 190, 226), hue)
    bottom = mix((14, 74, 98), (18, 58, 118), hue)
    rows, columns = np.mgrid[0 : canvas.height, 0 : canvas.width].astype(np.float32)
    down = rows / canvas.height
    canvas.pixels[:] = mix(top, bottom, smooth(-0.25, 1.1, down))
    slant, phase = rng.uniform(0.3, 0.8), rng.uniform(0, 6.3)
    beams = np.sin((columns + slant * rows) * rng.uniform(0.05, 0.09) + phase)
    beams += 0.6 * np.sin((columns + slant * 1.1 * rows) * rng.uniform(0.11, 0.17) + 2 * phase)
    canvas.pixels += (smooth(0.1, 1.6, beams) * (1 - down) * 42)[..., None]
    if rng.uniform() < 0.75:
        _sea_bed(canvas, rng, rows, columns)
    return mix(top, bottom, 0.5)


def _sea_bed(canvas: Canvas, rng, rows, columns) -> None:
    level = canvas.height * rng.uniform(0.8, 0.92)
    edge = level + 4 * np.sin(columns * rng.uniform(0.03, 0.06) + rng.uniform(0, 6)) + 2 * np.sin(columns * 0.17)
    ripples = noise(rng, canvas.width, canvas.height, 14)
    sand = mix((176, 160, 122), (104, 104, 96), smooth(0, 30, rows - edge)) + 9 * ripples[..., None]
    canvas.pixels += (sand - canvas.pixels) * (smooth(-1.5, 1.5, rows - edge) * 0.85)[..., None]
    for _ in range(int(rng.integers(0, 5))):
        x, height = rng.uniform(0, canvas.width), rng.uniform(14, 40)
        sprite = Sprite(size=height, base=(38, 96, 70))
        sway, t = rng.uniform(-0.25, 0.25), np.linspace(0, 1, 12)
        middle = np.stack([sway * t**2 + 0.06 * np.sin(7 * t + x), 0.5 - t], 1)
        thick = 0.07 * (1 - t[:, None] * 0.85)
        green = mix((30, 92, 62), (74, 122, 60), rng.uniform())
        sprite.area(np.concatenate([middle - [1, 0] * thick, (middle + [1, 0] * thick)[::-1]]), green)
        sprite.place(canvas, x, level + 4 - height * 0.4, haze=(30, 90, 110), depth=rng.uniform(0.15, 0.45))


def _fish(rng, size: float) -> Sprite:
    palettes = [
        ((244, 150, 40), (255, 244, 230)),
        ((246, 206, 58), (60, 70, 130)),
        ((196, 208, 218), (120, 140, 160)),
        ((60, 108, 214), (250, 214, 70)),
        ((226, 88, 76), (255, 220, 200)),
    ]
    body, stripe = palettes[int(rng.integers(len(palettes)))]
    sprite = Sprite(size=size, angle=rng.uniform(-0.35, 0.35), mirror=rng.uniform() < 0.5, base=body)
    tall, dark = rng.uniform(0.34, 0.52), mix(body, (20, 30, 40), 0.3)
    sprite.area(curve([(-0.45, 0), (-0.95, -0.38), (-0.82, 0), (-0.95, 0.38)]), dark)
    sprite.area(curve([(-0.3, -tall * 0.7), (-0.05, -tall * 1.45), (0.3, -tall * 0.7), (0, -tall * 0.4)]), dark)
    sprite.area(curve([(-0.1, tall * 0.7), (-0.2, tall * 1.3), (0.15, tall * 0.75)]), dark)
    outline = [(0.92, 0.02), (0.5, -tall * 0.82), (0, -tall), (-0.45, -tall * 0.45), (-0.62, 0)]
    outline += [(-0.45, tall * 0.45), (0, tall), (0.5, tall * 0.8)]
    sprite.area(curve(outline), body)
    for at in np.linspace(-0.3, 0.35, int(rng.integers(1, 4))):
        half = tall * 0.9 * np.sqrt(max(0.1, 1 - (at / 0.8) ** 2))
        sprite.area(
            curve([(at - 0.07, -half), (at + 0.07, -half), (at + 0.1, 0), (at + 0.07, half), (at - 0.07, half)]), stripe
        )
    sprite.area(curve([(0.12, 0.02), (-0.2, 0.24), (-0.12, 0.02)]), dark)
    sprite.dot(0.6, -0.1, 0.11, (250, 250, 250))
    sprite.dot(0.62, -0.1, 0.06, (15, 15, 20))
    return sprite


def _jellyfish(rng, size: float) -> Sprite:
    colours = [(246, 214, 236), (236, 160, 150), (206, 206, 250), (250, 226, 190)]
    colour = colours[int(rng.integers(len(colours)))]
    sprite = Sprite(size=size, angle=rng.uniform(-0.5, 0.5), base=colour)
    t = np.linspace(0, 1, 14)
    for at in np.linspace(-0.46, 0.46, 8):
        sway = 0.1 * np.sin(t * rng.uniform(5, 8) + rng.uniform(0, 6)) * t
        line = np.stack([at * (1 - 0.2 * t) + sway, -0.15 + t * rng.uniform(0.75, 1.1)], 1)
        sprite.line(line, mix(colour, (255, 255, 255), 0.2), 0.035, opacity=0.62)
    for at in (-0.16, 0.02, 0.18):
        frill = np.stack([at + 0.09 * np.sin(t * 12 + at * 9), -0.2 + t * 0.7], 1)
        sprite.line(frill, mix(colour, (200, 90, 140), 0.3), 0.1, opacity=0.8)
    dome = [(-0.66, -0.1), (-0.6, -0.5), (-0.3, -0.84), (0, -0.92), (0.3, -0.84), (0.6, -0.5), (0.66, -0.1)]
    sprite.area(curve([*dome, (0.4, -0.16), (0.2, -0.08), (0, -0.16), (-0.2, -0.08), (-0.4, -0.16)]), colour, 0.86)
    sprite.area(
        curve([(-0.4, -0.35), (-0.2, -0.66), (0.2, -0.66), (0.4, -0.35), (0, -0.24)]),
        mix(colour, (190, 80, 130), 0.25),
        0.9,
    )
    sprite.area(curve([(-0.36, -0.62), (-0.16, -0.8), (-0.22, -0.7)]), (255, 255, 255), 0.95)
    return sprite


def _penguin(rng, size: float) -> Sprite:
    swims = rng.uniform() < 0.4
    angle = rng.uniform(0.9, 1.5) if swims else rng.uniform(-0.2, 0.2)
    black, white, orange = (34, 36, 46), (246, 246, 240), (238, 142, 40)
    sprite = Sprite(size=size, angle=angle, mirror=rng.uniform() < 0.5, base=black)
    for side in (-0.2, 0.16):
        sprite.area(curve([(side - 0.12, 0.86), (side + 0.18, 0.84), (side + 0.22, 0.97), (side - 0.12, 0.97)]), orange)
    sprite.area(curve([(-0.36, -0.3), (-0.62, 0.35), (-0.52, 0.4), (-0.28, 0.1)]), black)
    sprite.area(curve([(0.34, -0.3), (0.6, 0.3), (0.5, 0.36), (0.26, 0.1)]), black)
    body = [(0, -0.95), (0.25, -0.82), (0.24, -0.55), (0.38, -0.2), (0.42, 0.35), (0.25, 0.86)]
    sprite.area(curve(body + [(-x, y) for x, y in body[:0:-1]]), black)
    belly = [(0.02, -0.48), (0.24, -0.25), (0.3, 0.3), (0.16, 0.8), (-0.12, 0.8), (-0.24, 0.3), (-0.18, -0.25)]
    sprite.area(curve(belly), white)
    sprite.area(curve([(0.06, -0.8), (0.2, -0.74), (0.18, -0.58), (0.04, -0.6)]), white)
    sprite.area(curve([(0.2, -0.78), (0.48, -0.68), (0.22, -0.64)]), orange)
    sprite.dot(0.12, -0.76, 0.045, (10, 10, 14))
    return sprite


def _puffin(rng, size: float) -> Sprite:
    black, white, orange = (40, 40, 48), (244, 242, 236), (240, 98, 34)
    sprite = Sprite(size=size, angle=rng.uniform(-0.25, 0.25), mirror=rng.uniform() < 0.5, base=black)
    for foot in (-0.15, 0.12):
        sprite.line([(foot, 0.5), (foot - 0.04, 0.84), (foot + 0.14, 0.86)], orange, 0.1)
    body = [(0.28, -0.35), (0.46, 0.05), (0.3, 0.48), (-0.2, 0.6), (-0.62, 0.4), (-0.95, 0.28), (-0.6, 0), (-0.1, -0.3)]
    sprite.area(curve(body), black)
    sprite.area(curve([(0.36, -0.1), (0.46, 0.12), (0.28, 0.5), (-0.2, 0.58), (-0.34, 0.46), (0.12, 0.28)]), white)
    sprite.area(curve([(0.1, -0.1), (-0.1, 0.22), (-0.66, 0.26), (-0.4, -0.02)]), (62, 60, 66))
    sprite.area(curve([(0.28, -0.95), (0.56, -0.72), (0.5, -0.4), (0.24, -0.28), (0.06, -0.46), (0.06, -0.8)]), black)
    sprite.area(curve([(0.34, -0.84), (0.54, -0.68), (0.48, -0.46), (0.28, -0.44), (0.2, -0.64)]), white)
    sprite.area(curve([(0.5, -0.82), (0.78, -0.72), (0.98, -0.5), (0.7, -0.46), (0.5, -0.46)]), orange)
    sprite.area([(0.5, -0.78), (0.6, -0.76), (0.58, -0.46), (0.49, -0.46)], (70, 84, 110))
    sprite.area([(0.62, -0.77), (0.67, -0.75), (0.66, -0.46), (0.61, -0.46)], (250, 206, 80))
    sprite.dot(0.38, -0.68, 0.055, (190, 50, 30))
    sprite.dot(0.38, -0.68, 0.035, (10, 10, 14))
    return sprite


def _shark(rng, size: float) -> Sprite:
    grey = mix((104, 116, 130), (82, 102, 124), rng.uniform())
    pale, dark = (216, 222, 226), mix(grey, (30, 40, 56), 0.35)
    sprite = Sprite(size=size, angle=rng.uniform(-0.3, 0.3), mirror=rng.uniform() < 0.5, base=grey)
    sprite.area(curve([(-0.78, -0.02), (-1.1, -0.5), (-1.02, -0.1), (-1.05, 0.28), (-0.8, 0.06)]), dark)
    sprite.area(curve([(0.1, -0.2), (-0.16, -0.56), (-0.22, -0.52), (-0.26, -0.16)]), dark)
    top = [(1.05, 0), (0.7, -0.18), (0.15, -0.26), (-0.4, -0.15), (-0.86, -0.04)]
    bottom = [(-0.86, 0.05), (-0.4, 0.13), (0.15, 0.24), (0.7, 0.15)]
    sprite.area(curve(top + bottom), grey)
    sprite.area(
        curve([(1.0, 0.04), (0.5, 0.06), (-0.3, 0.06), (-0.7, 0.05), (-0.3, 0.13), (0.15, 0.23), (0.7, 0.15)]), pale
    )
    sprite.area(curve([(0.34, 0.12), (0.02, 0.5), (-0.04, 0.46), (0.1, 0.13)]), dark)
    sprite.area(curve([(-0.42, 0.1), (-0.58, 0.26), (-0.56, 0.08)]), dark)
    for gill in (0.44, 0.5, 0.56):
        sprite.line([(gill, -0.1), (gill - 0.03, 0.08)], dark, 0.02)
    sprite.dot(0.8, -0.06, 0.04, (12, 14, 18))
    return sprite


def _starfish(rng, size: float) -> Sprite:
    colours = [(226, 92, 52), (214, 58, 76), (236, 156, 62), (168, 84, 150)]
    colour = colours[int(rng.integers(len(colours)))]
    sprite = Sprite(size=size, angle=rng.uniform(0, 2 * np.pi), base=colour)
    outline, inner = [], rng.uniform(0.3, 0.4)
    for arm in range(5):
        turn = arm * 2 * np.pi / 5
        for offset, away in ((-0.12, 0.84), (0, 0.95 * rng.uniform(0.9, 1)), (0.12, 0.84), (np.pi / 5, inner)):
            outline.append((away * np.sin(turn + offset), -away * np.cos(turn + offset)))
    sprite.area(curve(outline), colour)
    bright = mix(colour, (255, 240, 210), 0.5)
    for arm in range(5):
        turn = arm * 2 * np.pi / 5
        for away in (0.2, 0.38, 0.55, 0.7):
            sprite.dot(away * np.sin(turn), -away * np.cos(turn), 0.065 - 0.04 * away, bright)
    sprite.dot(0, 0, 0.08, bright)
    return sprite


def _stingray(rng, size: float) -> Sprite:
    colour = mix((134, 112, 84), (92, 96, 104), rng.uniform())
    sprite = Sprite(size=size, angle=rng.uniform(0, 2 * np.pi), base=colour)
    dark, bend = mix(colour, (24, 24, 28), 0.4), rng.uniform(-0.25, 0.25)
    t = np.linspace(0, 1, 12)
    sprite.line(np.stack([bend * t**2, 0.4 + 0.8 * t], 1), dark, 0.06)
    flap = rng.uniform(-0.08, 0.08)
    wing = [(0.3, -0.5), (0.72, -0.2), (0.98, 0.08 + flap), (0.6, 0.22), (0.3, 0.5), (0.08, 0.62)]
    other = [(-x, y - 2 * flap * (x > 0.9)) for x, y in wing[::-1]]
    sprite.area(curve([(0, -0.66), *wing, *other]), colour)
    light = mix(colour, (240, 230, 210), 0.42)
    for _ in range(11):
        x, y = rng.uniform(-0.55, 0.55), rng.uniform(-0.3, 0.35)
        sprite.dot(x, y * (1 - abs(x) * 0.7), rng.uniform(0.03, 0.06), light)
    sprite.line([(0, -0.4), (0, 0.5)], dark, 0.04)
    for eye in (-0.13, 0.13):
        sprite.dot(eye, -0.46, 0.06, light)
        sprite.dot(eye, -0.47, 0.04, (14, 14, 18))
    return sprite


LOOKS: dict[str, Callable[[np.random.Generator, float], Sprite]] = {
    "fish": _fish,
    "jellyfish": _jellyfish,
    "penguin": _penguin,
    "puffin": _puffin,
    "shark": _shark,
    "starfish": _starfish,
    "stingray": _stingray,
}
SHOAL = {"fish": (2, 5), "jellyfish": (1, 4), "penguin": (1, 3)}  # how many at once: from, below
SIZES = {  # pixels of half an animal's length
    "fish": (11, 21),
    "jellyfish": (16, 28),
    "penguin": (19, 30),
    "puffin": (17, 26),
    "shark": (24, 40),
    "starfish": (12, 21),
    "stingray": (17, 30),
}
