"""Scenes: a background and the objects put on it, far before near, none hidden by more than a part."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from cones.miniature.backgrounds import Ground
from cones.miniature.canvas import Canvas, Patch, blob
from cones.miniature.objects import look_of, paint_object
from cones.miniature.painter import Drawn, Painted

Background = Callable[[Canvas, np.random.Generator], Ground]
HIDDEN = 0.35  # the share of an object's box that later ones may cover
FLYING = ("aeroplane", "bird")
TRIES = 40


@dataclass(frozen=True)
class Setting:
    """The look and the statistics of one dataset."""

    backgrounds: tuple[Background, ...]
    count: tuple[int, int]  # objects in a picture: least, most
    unit: float  # pixels of half an object of relative size 1, in front
    width: tuple[int, int] = (192, 224)
    height: tuple[int, int] = (144, 176)
    figures: dict[str, str] = field(default_factory=dict)  # class -> the name it is drawn by, where that differs
    themes: tuple[tuple[str, ...], ...] = ()  # classes that occur together, one background each, taken in turn
    vary: float = 0.25  # how much sizes vary: a factor of 1 ± vary
    shadow: float = 0.3
    flat: bool = False  # things lie in the ground instead of standing on it
    finish: Callable[[Canvas, np.random.Generator], None] | None = None


@dataclass
class Piece:
    """An object to be placed: half its length in pixels, its centre, its distance 0 (near) … 1 (far), and the row it
    stands on, if it stands."""

    name: str
    size: float
    x: float = 0.0
    y: float = 0.0
    far: float = 0.0
    foot: float | None = None


def painter(setting: Setting):
    """The Painter of a dataset. Picture `index` shows class `index mod K`, or all of theme `index mod themes`."""

    def paint(rng: np.random.Generator, classes: list[str], index: int) -> Painted:
        wide, high = (8 * int(rng.integers(low // 8, top // 8 + 1)) for low, top in (setting.width, setting.height))
        canvas = Canvas(wide, high)
        themes = setting.themes or ((*classes,),)
        theme = themes[index % len(themes)]
        turn = index % len(themes) if setting.themes else int(rng.integers(len(setting.backgrounds)))
        ground = setting.backgrounds[turn % len(setting.backgrounds)](canvas, rng)
        wanted = list(theme) if setting.themes else [classes[index % len(classes)]]
        more = int(rng.integers(setting.count[0], setting.count[1] + 1)) - len(wanted)
        wanted += [theme[int(rng.integers(len(theme)))] for _ in range(max(more, 0))]
        pieces = arrange(wanted, canvas, ground, setting, rng)
        drawn = [Drawn(piece.name, canvas.clip(draw(piece, canvas, ground, setting, rng).box)) for piece in pieces]
        develop(canvas, rng)
        if setting.finish:
            setting.finish(canvas, rng)
        return Painted(canvas.image(), drawn)

    return paint


def arrange(names: list[str], canvas: Canvas, ground: Ground, setting: Setting, rng) -> list[Piece]:
    """Places for the objects, far ones first. An object that finds no free place tries again smaller and is left out in
    the end, unless it is the only one of its class: then it takes the least bad place."""
    placed: list[Piece] = []
    for name in names:
        only = all(piece.name != name for piece in placed)
        best, least = None, np.inf
        for attempt in range(TRIES):
            piece = _throw(name, canvas, ground, setting, rng, shrink=1 - 0.4 * attempt / TRIES)
            if not ground.allows(name, piece.x, piece.y):
                continue
            hidden = max((_hides(piece, other) for other in placed), default=0.0)
            if hidden < least:
                best, least = piece, hidden
            if hidden < HIDDEN:
                break
        if best and (least < HIDDEN or only):
            placed.append(best)
    return sorted(placed, key=lambda piece: -piece.far)


def _throw(name: str, canvas: Canvas, ground: Ground, setting: Setting, rng, *, shrink: float) -> Piece:
    relative = look_of(setting.figures.get(name, name)).relative
    size = shrink * setting.unit * relative * rng.uniform(1 - setting.vary, 1 + setting.vary)
    size = min(size, 0.42 * canvas.width, 0.48 * canvas.height if relative <= 1 else canvas.width)
    if ground.horizon is None:
        inset = min(0.75 * size, canvas.width / 2, canvas.height / 2)
        x, y = rng.uniform(inset, canvas.width - inset), rng.uniform(inset, canvas.height - inset)
        return Piece(name, size, x, y, rng.uniform())
    near = rng.uniform(0.1, 1)
    size *= 0.5 + 0.6 * near
    x = rng.uniform(min(0.7 * size, canvas.width / 2), max(canvas.width - 0.7 * size, canvas.width / 2))
    if name in FLYING:
        return Piece(name, size, x, rng.uniform(min(size * 0.5, 20), max(ground.horizon - size * 0.3, 30)), 1 - near)
    foot = ground.horizon + near * (canvas.height - 4 - ground.horizon)
    if setting.flat:
        return Piece(name, size, x, foot, 1 - near)
    return Piece(name, size, x, foot - 0.72 * size, 1 - near, foot)


def _hides(one: Piece, other: Piece) -> float:
    """The larger share of the two that the nearer would cover, taking both as boxes."""
    reach, beyond = 0.8 * one.size, 0.8 * other.size
    wide = min(one.x + reach, other.x + beyond) - max(one.x - reach, other.x - beyond)
    high = min(one.y + reach, other.y + beyond) - max(one.y - reach, other.y - beyond)
    return max(wide, 0) * max(high, 0) / (4 * min(reach, beyond) ** 2)


def draw(piece: Piece, canvas: Canvas, ground: Ground, setting: Setting, rng) -> Patch:
    """Paint one object with its shadow; returns its shape on the canvas."""
    sprite = paint_object(setting.figures.get(piece.name, piece.name), rng, piece.size)
    if piece.foot is not None:
        piece.y = piece.foot - sprite.bottom
    if setting.shadow and not setting.flat and piece.name not in FLYING:
        standing = piece.foot is not None
        low = piece.foot if standing else piece.y + 0.12 * piece.size
        shade = blob(piece.x + 0.1 * piece.size, low, 0.8 * piece.size, (0.16 if standing else 0.7) * piece.size)
        soft = Patch(shade.patch.left, shade.patch.top, np.clip(1.1 - shade.radius, 0, 1).astype(np.float32))
        canvas.paint(soft, (20, 20, 26), opacity=setting.shadow)
    least, most = ground.fade
    depth = least + (most - least) * piece.far
    return sprite.place(canvas, piece.x, piece.y, haze=ground.haze, depth=depth, light=rng.uniform(0.1, 0.26))


def develop(canvas: Canvas, rng) -> None:
    """The camera: exposure, a tint, uneven light and grain."""
    canvas.add_noise(rng, cells=3, strength=9)
    canvas.pixels *= np.float32(rng.uniform(0.82, 1.12)) * rng.uniform(0.95, 1.05, 3).astype(np.float32)
    canvas.add_noise(rng, cells=0, strength=5)
