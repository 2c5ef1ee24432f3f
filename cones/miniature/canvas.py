"""What painters draw on: a float canvas, soft-edged shapes, stains and sprites. All randomness comes from the caller.

Coordinates are pixels, x to the right, y down. A shape is painted into a small patch, so a picture costs milliseconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

Colour = tuple[float, float, float]  # 0–255
LUMA = np.float32([0.299, 0.587, 0.114])  # brightness of red, green and blue
VISIBLE = 0.35  # alpha from which a pixel counts for the box
FINE = 4  # sprites are drawn this many times larger and averaged down


@dataclass(frozen=True)
class Patch:
    """A soft-edged shape: alpha (h, w) in 0–1 whose upper left pixel lies at (left, top) of the canvas."""

    left: int
    top: int
    alpha: np.ndarray

    @property
    def box(self) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) of what is visibly covered; right and bottom are exclusive."""
        rows, columns = (np.nonzero(self.alpha.max(axis=axis) > VISIBLE)[0] for axis in (1, 0))
        left, top = self.left, self.top
        return left + int(columns[0]), top + int(rows[0]), left + int(columns[-1]) + 1, top + int(rows[-1]) + 1


class Canvas:
    """An RGB picture of floats in 0–255, `pixels` (height, width, 3)."""

    def __init__(self, width: int, height: int, colour: Colour = (255, 255, 255)):
        self.width, self.height = width, height
        self.pixels = np.empty((height, width, 3), np.float32)
        self.pixels[:] = colour

    def image(self) -> Image.Image:
        return Image.fromarray(np.clip(self.pixels + 0.5, 0, 255).astype(np.uint8))

    def paint(self, patch: Patch, colour: np.ndarray | Colour, opacity: float = 1.0) -> None:
        """Cover with `colour`, one for all or (h, w, 3)."""
        window, alpha, colour = self._window(patch, np.asarray(colour, np.float32))
        window += (colour - window) * (alpha * opacity)[..., None]

    def stain(self, patch: Patch, colour: np.ndarray | Colour) -> None:
        """Let `colour` filter the light, as a dye on a microscope slide: overlaps become darker."""
        window, alpha, colour = self._window(patch, np.asarray(colour, np.float32))
        window *= 1 + (colour / 255 - 1) * alpha[..., None]

    def add_noise(self, rng: np.random.Generator, *, cells: int, strength: float) -> None:
        """Soft brightness noise of about `cells` bumps across; `cells=0` is grain of single pixels."""
        self.pixels += strength * noise(rng, self.width, self.height, cells)[..., None]

    def clip(self, box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
        left, top, right, bottom = box
        return max(left, 0), max(top, 0), min(right, self.width), min(bottom, self.height)

    def _window(self, patch: Patch, colour: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        height, width = patch.alpha.shape
        left, top, right, bottom = self.clip((patch.left, patch.top, patch.left + width, patch.top + height))
        rows = slice(top - patch.top, max(bottom, top) - patch.top)
        columns = slice(left - patch.left, max(right, left) - patch.left)
        window = self.pixels[top : max(bottom, top), left : max(right, left)]
        return window, patch.alpha[rows, columns], colour[rows, columns] if colour.ndim == 3 else colour


def noise(rng: np.random.Generator, width: int, height: int, cells: int) -> np.ndarray:
    """(height, width) noise in -1 … 1."""
    if cells == 0:
        return (rng.random((height, width), dtype=np.float32) - 0.5) * 2
    coarse = rng.random((max(2, cells * height // width), cells), dtype=np.float32)
    return (np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)) - 0.5) * 2


@dataclass(frozen=True)
class Blob:
    """A wobbly ellipse: its patch, and the distance from the centre in units of the outline (h, w), 1 on the edge."""

    patch: Patch
    radius: np.ndarray


def blob(
    x: float, y: float, rx: float, ry: float, *, angle: float = 0, wobble: Sequence[tuple[float, float]] = ()
) -> Blob:
    """An ellipse around (x, y) whose outline waves: `wobble[k]` = (strength, phase) of k+2 bumps."""
    reach = int(max(rx, ry) * (1 + sum(strength for strength, _ in wobble))) + 3
    left, top = int(x) - reach, int(y) - reach
    rows, columns = np.mgrid[0 : 2 * reach + 1, 0 : 2 * reach + 1].astype(np.float32)
    dx, dy = columns + left + 0.5 - x, rows + top + 0.5 - y
    u = (dx * np.cos(angle) + dy * np.sin(angle)) / rx
    v = (dy * np.cos(angle) - dx * np.sin(angle)) / ry
    radius = np.hypot(u, v)
    if wobble:
        theta = np.arctan2(v, u)
        waves = (strength * np.cos((k + 2) * theta + phase) for k, (strength, phase) in enumerate(wobble))
        radius = radius / (1 + sum(waves))
    alpha = np.clip((1 - radius) * min(rx, ry) + 0.5, 0, 1)
    return Blob(Patch(left, top, alpha), radius)


def smooth(low: float, high: float, value: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, a soft step between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def mix(a: Colour | np.ndarray, b: Colour | np.ndarray, t: np.ndarray | float) -> np.ndarray:
    """Between two colours; an (h, w) `t` gives (h, w, 3)."""
    a, b = np.asarray(a, np.float32), np.asarray(b, np.float32)
    return a + (b - a) * (t[..., None] if isinstance(t, np.ndarray) else t)


def curve(points: Sequence[tuple[float, float]], steps: int = 8) -> np.ndarray:
    """A smooth closed outline (n, 2) through `points` (Catmull-Rom)."""
    p = np.asarray(points, float)
    before, after, beyond = np.roll(p, 1, 0), np.roll(p, -1, 0), np.roll(p, -2, 0)
    t = (np.arange(steps) / steps)[:, None, None]
    lines = 0.5 * (
        2 * p
        + (after - before) * t
        + (2 * before - 5 * p + 4 * after - beyond) * t**2
        + (3 * p - before - 3 * after + beyond) * t**3
    )
    return lines.transpose(1, 0, 2).reshape(-1, 2)


class Sprite:
    """A figure drawn in its own coordinates (about -1 … 1), then turned, mirrored, scaled and painted on a canvas."""

    def __init__(self, *, size: float, angle: float = 0, mirror: bool = False, base: Colour = (128, 128, 128)):
        """`size` is the pixel length of one unit; `base` colours the soft edge."""
        self.size, self.reach = size, int(size * 1.5) + 2
        cos, sin = np.cos(angle), np.sin(angle)
        self.matrix = np.array([[cos, -sin], [sin, cos]]) @ np.diag([-1.0 if mirror else 1.0, 1.0])
        side = 2 * self.reach * FINE
        self.colour = Image.new("RGB", (side, side), tuple(int(c) for c in base))
        self.mask = Image.new("L", (side, side), 0)
        self._colour, self._mask = ImageDraw.Draw(self.colour), ImageDraw.Draw(self.mask)

    def area(self, points, colour: Colour, opacity: float = 1.0) -> None:
        """Fill an outline. A later area covers earlier ones; `opacity` below 1 lets the background through."""
        places = self._places(points)
        self._colour.polygon(places, fill=tuple(int(c) for c in colour))
        self._mask.polygon(places, fill=int(255 * opacity))

    def line(self, points, colour: Colour, width: float, opacity: float = 1.0) -> None:
        """A line `width` units thick through `points`."""
        places, thick = self._places(points), max(2, int(width * self.size * FINE))
        self._colour.line(places, fill=tuple(int(c) for c in colour), width=thick, joint="curve")
        self._mask.line(places, fill=int(255 * opacity), width=thick, joint="curve")

    def dot(self, x: float, y: float, radius: float, colour: Colour) -> None:
        turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        self.area(np.stack([x + radius * np.cos(turn), y + radius * np.sin(turn)], 1), colour)

    def shape(self, x: float, y: float) -> Patch:
        """What `place` would cover around (x, y)."""
        small = (2 * self.reach, 2 * self.reach)
        alpha = np.asarray(self.mask.resize(small, Image.Resampling.BOX), np.float32) / 255
        return Patch(round(x) - self.reach, round(y) - self.reach, alpha)

    def place(self, canvas: Canvas, x: float, y: float, *, haze: Colour, depth: float, light: float = 0.22) -> Patch:
        """Paint around (x, y): lit from above by `light`, fading into `haze` with `depth` 0–1. Returns the shape."""
        patch = self.shape(x, y)
        small = patch.alpha.shape
        colour = np.asarray(self.colour.resize(small, Image.Resampling.BOX), np.float32)
        rows = np.linspace(1, -1, small[1], dtype=np.float32)[:, None, None]
        lit = np.clip(colour * (1 + light * 1.6 * rows), 0, 255)
        canvas.paint(patch, mix(lit, np.asarray(haze, np.float32), depth))
        return patch

    def recolour(self, hue: float, saturation: float, value: float) -> None:
        """Turn the hue of all that is drawn by `hue` turns; multiply saturation and value."""
        hsv = np.asarray(self.colour.convert("HSV"), np.float32)
        turned = (hsv[..., 0] + 256 * hue) % 256
        scaled = np.clip(hsv[..., 1:] * np.float32((saturation, value)), 0, 255)
        changed = np.concatenate([turned[..., None], scaled], axis=2).astype(np.uint8)
        self.colour.paste(Image.fromarray(changed, "HSV").convert("RGB"))

    @property
    def bottom(self) -> float:
        """How far below its centre the figure reaches, in pixels."""
        extent = self.mask.getbbox()
        return extent[3] / FINE - self.reach if extent else 0.0

    def _places(self, points) -> list[tuple[float, float]]:
        placed = (np.asarray(points, float) @ self.matrix.T * self.size + self.reach) * FINE
        return [tuple(point) for point in placed.tolist()]
