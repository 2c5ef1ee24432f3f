"""Backgrounds: where the objects of a scene stand, lie or swim. Each is `background(canvas, rng) -> Ground`."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from cones.miniature.canvas import Canvas, Colour, Patch, blob, mix, noise, smooth


@dataclass(frozen=True)
class Ground:
    """What the background means for objects: `haze` is the colour that distance fades into, `horizon` the row where the
    ground begins (None: seen from above, things lie anywhere), `allows(name, x, y)` where a thing may be."""

    haze: Colour
    horizon: float | None = None
    allows: Callable[[str, float, float], bool] = lambda name, x, y: True
    fade: tuple[float, float] = (0.0, 0.22)  # least and most haze


def block(canvas: Canvas, left: float, top: float, right: float, bottom: float, colour, opacity: float = 1.0) -> None:
    """A hard rectangle, clipped to the canvas."""
    left, top = max(int(left), 0), max(int(top), 0)
    right, bottom = min(int(right), canvas.width), min(int(bottom), canvas.height)
    if right > left and bottom > top:
        patch = Patch(left, top, np.full((bottom - top, right - left), opacity, np.float32))
        canvas.paint(patch, colour)


def grid(canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[0 : canvas.height, 0 : canvas.width].astype(np.float32)
    return rows, columns


def sky(canvas: Canvas, rng) -> Colour:
    """A sky with clouds over the whole canvas; returns the colour at the horizon."""
    hour = rng.uniform()
    top, low = mix((92, 150, 222), (150, 160, 176), hour), mix((196, 220, 240), (222, 214, 204), hour)
    rows, _ = grid(canvas)
    canvas.pixels[:] = mix(top, low, smooth(0, 0.8 * canvas.height, rows))
    clouds = noise(rng, canvas.width, canvas.height, 5) + 0.5 * noise(rng, canvas.width, canvas.height, 11)
    canvas.pixels += (smooth(0.25, 1.1, clouds) * 46)[..., None]
    return tuple(low)


def _below(canvas: Canvas, edge, colour) -> None:
    """Cover everything under the row(s) `edge` with `colour`, softly."""
    rows, _ = grid(canvas)
    colour = np.asarray(colour, np.float32)
    canvas.pixels += (colour - canvas.pixels) * smooth(-1, 1, rows - edge)[..., None]


def _rough(canvas: Canvas, rng, colour, contrast: float, *cells: int) -> np.ndarray:
    """`colour` with noise of several sizes, (height, width, 3)."""
    total = sum(noise(rng, canvas.width, canvas.height, c) for c in cells)
    return np.asarray(colour, np.float32) + contrast * total[..., None]


def meadow(canvas: Canvas, rng) -> Ground:
    low = sky(canvas, rng)
    _, columns = grid(canvas)
    horizon = canvas.height * rng.uniform(0.3, 0.45)
    hills = horizon - 8 - 7 * np.sin(columns * rng.uniform(0.02, 0.05) + rng.uniform(0, 6))
    _below(canvas, hills, mix((84, 124, 92), low, 0.3))
    green = mix((92, 142, 58), (160, 156, 84), rng.uniform(0, 0.8))
    _below(canvas, horizon, _rough(canvas, rng, green, 14, 9, 40, 0))
    if rng.uniform() < 0.4:
        for x in np.arange(rng.uniform(0, 20), canvas.width, 26):
            block(canvas, x, horizon - 9, x + 3, horizon + 9, (120, 96, 70))
        block(canvas, 0, horizon - 5, canvas.width, horizon - 3, (132, 106, 78))
    return Ground(low, horizon)


def street(canvas: Canvas, rng) -> Ground:
    low = sky(canvas, rng)
    horizon = canvas.height * rng.uniform(0.4, 0.5)
    x = -rng.uniform(0, 20)
    while x < canvas.width:
        wide, high = rng.uniform(26, 52), rng.uniform(0.5, 1.1) * horizon
        colour = mix((168, 132, 108), (140, 150, 164), rng.uniform()) * rng.uniform(0.75, 1.15)
        block(canvas, x, horizon - high, x + wide, horizon + 3, colour)
        for wx in np.arange(x + 4, x + wide - 6, 9):
            for wy in np.arange(horizon - high + 5, horizon - 9, 11):
                block(canvas, wx, wy, wx + 5, wy + 6, colour * (0.5 if rng.uniform() < 0.7 else 1.25))
        x += wide + (rng.uniform(4, 16) if rng.uniform() < 0.3 else 0)
    _below(canvas, horizon, _rough(canvas, rng, (158, 152, 146), 5, 14, 0))
    kerb = horizon + 0.12 * canvas.height
    _below(canvas, kerb, _rough(canvas, rng, mix((92, 94, 100), (118, 114, 108), rng.uniform()), 6, 8, 0))
    for x in np.arange(rng.uniform(-30, 0), canvas.width, 44):
        y = canvas.height * 0.84
        block(canvas, x, y, x + 22, y + 3, (226, 222, 206))
    return Ground(low, horizon + 0.04 * canvas.height)


def room(canvas: Canvas, rng) -> Ground:
    horizon = canvas.height * rng.uniform(0.5, 0.6)
    wall = mix((222, 208, 186), (176, 192, 200), rng.uniform()) * rng.uniform(0.8, 1.05)
    canvas.pixels[:] = _rough(canvas, rng, wall, 4, 5, 0)
    if rng.uniform() < 0.6:
        x, y = rng.uniform(0.05, 0.7) * canvas.width, horizon * rng.uniform(0.1, 0.25)
        wide, high = rng.uniform(34, 56), horizon * rng.uniform(0.45, 0.6)
        block(canvas, x, y, x + wide, y + high, (246, 244, 238))
        block(canvas, x + 3, y + 3, x + wide - 3, y + high - 3, mix((150, 190, 226), (120, 150, 110), rng.uniform()))
    floor = mix((172, 128, 84), (130, 116, 108), rng.uniform())
    _below(canvas, horizon, _rough(canvas, rng, floor, 6, 10, 0))
    for y in np.geomspace(6, canvas.height - horizon, 6):
        block(canvas, 0, horizon + y, canvas.width, horizon + y + 1, floor * 0.8)
    block(canvas, 0, horizon - 4, canvas.width, horizon + 1, wall * 0.82)
    return Ground(tuple(wall), horizon, fade=(0, 0.1))


def sea(canvas: Canvas, rng) -> Ground:
    low = sky(canvas, rng)
    rows, columns = grid(canvas)
    horizon = canvas.height * rng.uniform(0.45, 0.55)
    water = mix((62, 118, 152), (70, 140, 138), rng.uniform())
    waves = np.sin(rows * 0.9 + 3 * np.sin(columns * 0.07) + columns * 0.05) * smooth(0, 60, rows - horizon)
    _below(canvas, horizon, _rough(canvas, rng, water, 8, 9, 0) + 13 * waves[..., None])
    return Ground(low, horizon + 6)


def coast_from_above(canvas: Canvas, rng) -> Ground:
    """A lake shore from a drone: water, a beach, grass with trees and a road."""
    rows, columns = grid(canvas)
    turn = rng.uniform(-0.35, 0.35)
    level = canvas.height * rng.uniform(0.55, 0.72)
    shore = level + turn * (columns - canvas.width / 2) + 5 * np.sin(columns * 0.06 + rng.uniform(0, 6))
    water = mix((58, 112, 110), (44, 92, 120), rng.uniform())
    ripple = np.sin(rows * 1.3 + 2 * np.sin(columns * 0.11)) * 3
    canvas.pixels[:] = _rough(canvas, rng, water, 7, 6, 30, 0) + ripple[..., None]
    _below(canvas, shore, (206, 190, 156))
    _below(canvas, shore + 7, _rough(canvas, rng, (108, 138, 76), 10, 12, 40, 0))
    road = shore + 32
    inside = smooth(-8, -6, rows - road) * (1 - smooth(6, 8, rows - road))
    canvas.pixels += (np.float32((142, 140, 138)) - canvas.pixels) * inside[..., None]
    for _ in range(int(rng.integers(5, 14))):
        x, y = rng.uniform(0, canvas.width), rng.uniform(level + 44, canvas.height + 8)
        radius = rng.uniform(5, 9)
        tree = blob(x, y, radius, radius * 0.9, wobble=[(0.12, x), (0.1, y)])
        canvas.paint(tree.patch, mix((72, 112, 58), (34, 66, 38), smooth(0.2, 1, tree.radius)))

    def allows(name: str, x: float, y: float) -> bool:
        edge = shore[0, int(min(max(x, 0), canvas.width - 1))]
        if name == "car":
            return abs(y - edge - 32) < 9
        if name in ("dock", "lift"):
            return edge - 46 < y < edge - 6
        return y < edge - 14

    return Ground(tuple(water), None, allows)


def lawn_at_dusk(canvas: Canvas, rng) -> Ground:
    """The view of a fixed camera: grass, a fence, a shrub; only the light changes."""
    dusk = rng.uniform(0.55, 1.0)
    horizon = canvas.height * 0.34
    canvas.pixels[:] = _rough(canvas, rng, (150, 126, 98), 6, 20, 0)
    for x in range(0, canvas.width, 14):
        block(canvas, x, 0, x + 1, horizon, (96, 78, 60))
    block(canvas, 0, horizon * 0.35, canvas.width, horizon * 0.35 + 4, (112, 92, 72))
    _below(canvas, horizon, _rough(canvas, rng, (116, 132, 74), 16, 10, 36, 70, 0))
    for k in range(7):
        bush = blob(
            canvas.width * 0.86 + 9 * np.cos(k * 2.1), horizon + 4 + 8 * np.sin(k * 1.7), 13, 11, wobble=[(0.1, k)]
        )
        canvas.paint(bush.patch, mix((78, 104, 60), (40, 62, 40), smooth(0, 1, bush.radius)))
    canvas.pixels *= np.float32(dusk) * mix((0.94, 0.96, 1.06), (1.03, 1.0, 0.94), dusk)
    return Ground((110 * dusk, 116 * dusk, 90 * dusk), horizon + 4, fade=(0.05, 0.3))


def table_top(canvas: Canvas, rng) -> Ground:
    """A table from above with cards and pieces of a game."""
    wood = mix((176, 132, 88), (120, 112, 108), rng.uniform()) * rng.uniform(0.8, 1.1)
    rows, _ = grid(canvas)
    grain = np.sin(rows * 0.5 + 2.5 * noise(rng, canvas.width, canvas.height, 4)) * 5
    canvas.pixels[:] = _rough(canvas, rng, wood, 5, 7, 0) + grain[..., None]
    x, y, side = canvas.width * rng.uniform(0.25, 0.45), canvas.height * rng.uniform(0.2, 0.4), rng.uniform(44, 66)
    board = mix((240, 232, 214), (60, 110, 80), rng.uniform())
    block(canvas, x, y, x + side, y + side * 0.8, board)
    for k in range(1, 6):
        block(canvas, x + k * side / 6, y, x + k * side / 6 + 1, y + side * 0.8, board * 0.6)
        block(canvas, x, y + k * side * 0.8 / 6, x + side, y + k * side * 0.8 / 6 + 1, board * 0.6)
    for _ in range(int(rng.integers(5, 12))):
        cx, cy = rng.uniform(x, x + side), rng.uniform(y, y + side * 0.8)
        piece = blob(cx, cy, 3.2, 3.2)
        canvas.paint(piece.patch, ((214, 60, 50), (240, 210, 60), (40, 60, 120), (30, 30, 30))[int(rng.integers(4))])
    return Ground(tuple(wood), None, fade=(0, 0.06))


def forest_floor(canvas: Canvas, rng) -> Ground:
    canvas.pixels[:] = _rough(canvas, rng, mix((92, 74, 52), (74, 82, 48), rng.uniform()), 20, 6, 24, 0)
    for _ in range(70):
        x, y, r = rng.uniform(0, canvas.width), rng.uniform(0, canvas.height), rng.uniform(3, 9)
        leaf = blob(x, y, r, r * rng.uniform(0.3, 0.6), angle=rng.uniform(0, np.pi), wobble=[(0.12, x)])
        colour = mix((142, 92, 48), (86, 110, 52), rng.uniform()) * rng.uniform(0.6, 1.15)
        canvas.paint(leaf.patch, colour, opacity=0.85)
    for _ in range(int(rng.integers(0, 3))):
        y, lean = rng.uniform(0, canvas.height), rng.uniform(-0.5, 0.5)
        rows, columns = grid(canvas)
        off = np.abs(rows - y - lean * (columns - canvas.width / 2))
        canvas.pixels += (np.float32((84, 62, 44)) - canvas.pixels) * (1 - smooth(3, 5, off))[..., None]
    return Ground((80, 74, 52), None, fade=(0, 0.12))


def porch(canvas: Canvas, rng) -> Ground:
    horizon = canvas.height * rng.uniform(0.52, 0.6)
    siding = mix((212, 206, 194), (132, 150, 164), rng.uniform()) * rng.uniform(0.85, 1.08)
    canvas.pixels[:] = _rough(canvas, rng, siding, 4, 6, 0)
    for y in np.arange(0, horizon, 8):
        block(canvas, 0, y, canvas.width, y + 1, siding * 0.8)
    x, wide = canvas.width * rng.uniform(0.15, 0.6), rng.uniform(44, 54)
    door = mix((130, 44, 40), (44, 70, 98), rng.uniform()) * rng.uniform(0.8, 1.2)
    block(canvas, x - 5, 4, x + wide + 5, horizon + 1, (240, 238, 232))
    block(canvas, x, 8, x + wide, horizon, door)
    for panel in (0.12, 0.56):
        block(canvas, x + 7, 8 + panel * horizon, x + wide - 7, 8 + (panel + 0.3) * horizon, door * 0.8)
    knob = blob(x + wide - 6, horizon * 0.6, 2.2, 2.2)
    canvas.paint(knob.patch, (226, 196, 90))
    deck = mix((158, 130, 98), (128, 126, 122), rng.uniform())
    _below(canvas, horizon, _rough(canvas, rng, deck, 6, 12, 0))
    for k in range(-12, 24):
        for step in np.linspace(0, 1, 24):
            at = canvas.width / 2 + (k - 6) * (8 + 14 * step)
            y = horizon + step * (canvas.height - horizon)
            block(canvas, at, y, at + 1, y + 4, deck * 0.78)
    block(canvas, x - 2, horizon + 6, x + wide + 4, horizon + 18, (94, 78, 62))
    return Ground(tuple(siding), horizon + 8, fade=(0, 0.08))


def night_yard(canvas: Canvas, rng) -> Ground:
    """A dark yard in a lamp's light."""
    horizon = canvas.height * rng.uniform(0.3, 0.42)
    rows, columns = grid(canvas)
    canvas.pixels[:] = _rough(canvas, rng, (52, 62, 50), 22, 5, 18, 0)
    _below(canvas, horizon, _rough(canvas, rng, mix((112, 100, 82), (84, 104, 66), rng.uniform()), 12, 10, 30, 0))
    far = np.hypot(columns - canvas.width * rng.uniform(0.3, 0.7), 1.4 * (rows - canvas.height * 0.6)) / canvas.width
    canvas.pixels *= (1.1 - 0.75 * smooth(0.15, 0.75, far))[..., None]
    return Ground((46, 50, 46), horizon + 4, fade=(0, 0.3))


def kitchen_table(canvas: Canvas, rng) -> Ground:
    """A cloth, ice or sand from above, mostly with a plate on it."""
    base = ((236, 236, 232), (206, 220, 230), (214, 190, 150), (98, 126, 150))[int(rng.integers(4))]
    canvas.pixels[:] = _rough(canvas, rng, np.float32(base) * rng.uniform(0.75, 1.0), 10, 8, 26, 0)
    if rng.uniform() < 0.65:
        x, y = canvas.width * rng.uniform(0.4, 0.6), canvas.height * rng.uniform(0.4, 0.6)
        wide = canvas.height * rng.uniform(0.4, 0.52)
        plate = blob(x, y, wide * 1.2, wide)
        canvas.paint(plate.patch, mix((250, 250, 248), (200, 204, 210), smooth(0.72, 0.8, plate.radius)))
        for _ in range(int(rng.integers(2, 7))):
            leaf = blob(
                x + rng.uniform(-1, 1) * wide, y + rng.uniform(-0.8, 0.8) * wide, 11, 6, angle=rng.uniform(0, 3)
            )
            canvas.paint(leaf.patch, mix((70, 140, 52), (150, 190, 80), rng.uniform()))
    return Ground(base, None, fade=(0, 0.1))


def studio(canvas: Canvas, rng) -> Ground:
    """A plain wall, a cloth or a blurred room."""
    a, b = (mix((228, 224, 216), (70, 84, 104), rng.uniform()) for _ in range(2))
    rows, columns = grid(canvas)
    lean = rng.uniform(-1, 1)
    canvas.pixels[:] = mix(a, b, smooth(-0.2, 1.2, rows / canvas.height + lean * (columns / canvas.width - 0.5)))
    canvas.pixels += 16 * noise(rng, canvas.width, canvas.height, 4)[..., None]
    for _ in range(int(rng.integers(0, 5))):
        x, y, r = rng.uniform(0, canvas.width), rng.uniform(0, canvas.height), rng.uniform(12, 34)
        spot = blob(x, y, r, r * rng.uniform(0.5, 1), angle=rng.uniform(0, 3))
        soft = Patch(spot.patch.left, spot.patch.top, 1 - smooth(0.3, 1, spot.radius))
        canvas.paint(soft, mix((210, 160, 110), (90, 120, 140), rng.uniform()), opacity=0.6)
    return Ground(tuple(a), None, fade=(0, 0.15))


def asphalt(canvas: Canvas, rng) -> Ground:
    """A road into the distance, as from behind a windscreen."""
    low = sky(canvas, rng)
    rows, columns = grid(canvas)
    horizon = canvas.height * rng.uniform(0.2, 0.34)
    _below(canvas, horizon - 6 - 4 * np.sin(columns * 0.09), (92, 112, 82))
    _below(canvas, horizon, _rough(canvas, rng, mix((128, 128, 82), (150, 132, 104), rng.uniform()), 10, 12, 0))
    near = np.clip((rows - horizon) / (canvas.height - horizon), 0, 1)
    centre = canvas.width * rng.uniform(0.4, 0.6)
    off = np.abs(columns - centre) / (canvas.width * (0.05 + 0.75 * near))
    grey = mix((104, 104, 108), (142, 138, 132), rng.uniform())
    road = _rough(canvas, rng, grey, 7, 9, 34, 0)
    canvas.pixels += (road - canvas.pixels) * ((1 - smooth(0.97, 1.03, off)) * (near > 0))[..., None]
    dashes = (off < 0.035) & (near > 0) & (np.sin(14 * np.sqrt(near) + rng.uniform(0, 6)) > 0)
    canvas.pixels[dashes] = canvas.pixels[dashes] * 0.3 + np.float32((226, 220, 196)) * 0.7

    def allows(name: str, x: float, y: float) -> bool:
        share = (y - horizon) / (canvas.height - horizon)
        return share > 0.12 and abs(x - centre) < canvas.width * (0.05 + 0.75 * share) * 0.8

    return Ground(low, horizon, allows, fade=(0, 0.2))


def cool_night(canvas: Canvas, rng) -> Ground:
    """What a thermal camera sees of a yard: dark, soft, with a few lukewarm things."""
    horizon = canvas.height * rng.uniform(0.34, 0.48)
    canvas.pixels[:] = _rough(canvas, rng, (44, 44, 44), 10, 4, 12)
    _below(canvas, horizon, _rough(canvas, rng, (74, 74, 74), 9, 6, 24))
    for _ in range(int(rng.integers(1, 4))):
        x, wide, high = rng.uniform(0, canvas.width), rng.uniform(8, 40), rng.uniform(14, 50)
        block(canvas, x, horizon - high, x + wide, horizon + 4, (rng.uniform(56, 112),) * 3, 0.8)
    return Ground((236, 236, 236), horizon + 6, fade=(0.45, 0.72))


BACKGROUNDS = (meadow, street, room, sea, forest_floor, studio, kitchen_table, night_yard, table_top)  # for pretraining
