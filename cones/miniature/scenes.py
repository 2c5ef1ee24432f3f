"""Scenes: a background and the objects put on it, far before near, none hidden by more than a part."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from cones.miniature.backgrounds import Ground
from cones.miniature.canvas import Canvas, Patch, Sprite, blob
from cones.miniature.objects import look_of, paint_object
from cones.miniature.painter import Drawn, Painted

Background = Callable[[Canvas, np.random.Generator], Ground]
HIDDEN = 0.35  # the share of an object that others may cover, by a rough look at their extents
STAYS_VISIBLE = 0.5  # the share of an object's pixels that stays visible
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
    paint: Callable[[str, np.random.Generator, float], Sprite] = paint_object  # one object: (name, rng, size)


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
        shown: list[Visible] = []
        placed = put(pieces, canvas, ground, setting, rng, shown)
        drawn = [
            Drawn(piece.name, canvas.clip(patch.box), mask=visible.mask)
            for (piece, patch), visible in zip(placed, shown)
        ]
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


class Visible:
    """What can be seen of a drawn shape: `mask` (height, width of the canvas) and how many pixels it had."""

    def __init__(self, patch: Patch, canvas: Canvas):
        self.mask = _mask(patch, canvas)
        self.pixels = max(int(self.mask.sum()), 1)

    def share_left(self, cover: np.ndarray) -> float:
        """The share of the shape that stays visible under `cover`, boolean like `mask`."""
        return float((self.mask & ~cover).sum()) / self.pixels


def _mask(patch: Patch, canvas: Canvas) -> np.ndarray:
    mask = np.zeros((canvas.height, canvas.width), bool)
    height, width = patch.alpha.shape
    left, top, right, bottom = canvas.clip((patch.left, patch.top, patch.left + width, patch.top + height))
    if right > left and bottom > top:
        inside = patch.alpha[top - patch.top : bottom - patch.top, left - patch.left : right - patch.left]
        mask[top:bottom, left:right] = inside > 0.5
    return mask


def put(
    pieces: list[Piece],
    canvas: Canvas,
    ground: Ground,
    setting: Setting,
    rng,
    shown: list[Visible] | None = None,
) -> list[tuple[Piece, Patch]]:
    """Paint the pieces in order; one that would hide more than half of another moves aside or is left out. The only one
    of its class is made smaller instead. Returns those painted with their shapes."""
    shown = [] if shown is None else shown
    painted: list[tuple[Piece, Patch]] = []
    for piece in pieces:
        only = sum(one.name == piece.name for one in pieces) == 1
        for attempt in range(4 if only else 1):
            piece.size *= 0.75 if attempt else 1
            sprite = setting.paint(setting.figures.get(piece.name, piece.name), rng, piece.size)
            if piece.foot is not None:
                piece.y = piece.foot - sprite.bottom
            cover = _move_aside(piece, sprite, canvas, ground, rng, shown, attempt == 3)
            if cover is not None:
                break
        else:
            continue
        patch = _paint(piece, sprite, canvas, ground, setting, rng)
        for one in shown:
            one.mask &= ~cover
        shown.append(Visible(patch, canvas))
        painted.append((piece, patch))
    return painted


def _move_aside(piece: Piece, sprite, canvas: Canvas, ground: Ground, rng, shown: list[Visible], anyway: bool):
    """Give the piece a column where everything stays half visible, or the best there is if it must be there `anyway`;
    returns the mask it will have, or None."""
    inset = min(0.7 * piece.size, canvas.width / 2)
    columns = [piece.x, *rng.uniform(inset, canvas.width - inset, 10)]
    best, most = None, -1.0
    for x in columns:
        if not ground.allows(piece.name, x, piece.y):
            continue
        cover = _mask(sprite.shape(x, piece.y), canvas)
        left = min((one.share_left(cover) for one in shown), default=1.0)
        if left > most and cover.any():
            best, most = (x, cover), left
        if most >= STAYS_VISIBLE:
            break
    if best is None or (most < STAYS_VISIBLE and not anyway):
        return None
    piece.x = best[0]
    return best[1]


def _paint(piece: Piece, sprite, canvas: Canvas, ground: Ground, setting: Setting, rng) -> Patch:
    """One object with its shadow; returns its shape on the canvas."""
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
