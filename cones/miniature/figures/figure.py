"""A figure: a sprite with ovals, boxes, marks and textures, and colours that vary a little from piece to piece."""

import colorsys
from collections.abc import Sequence

import numpy as np
from PIL import Image

from cones.miniature.canvas import FINE, Colour, Sprite, curve, mix

BLACK, WHITE = (18, 18, 22), (246, 246, 242)
TEXTURES = ("plain", "stripes", "spots", "checks", "rings", "patches")


class Figure(Sprite):
    """A sprite in coordinates of about -1 … 1, x to the right, y down. `area` and its kin shape the figure; `mark` and
    `texture` only colour what is already there, so they are drawn right after the part they lie on."""

    def __init__(
        self,
        *,
        size: float,
        angle: float = 0,
        mirror: bool = False,
        stretch: tuple[float, float] = (1, 1),
        base: Colour = (128, 128, 128),
    ):
        """`size` is the pixel length of one unit; `stretch` scales x and y before turning; `base` colours edges."""
        super().__init__(size=size, angle=angle, mirror=mirror, base=base)
        self.matrix = self.matrix @ np.diag(stretch)

    def oval(self, x: float, y: float, rx: float, ry: float, colour: Colour, angle: float = 0) -> None:
        self.area(ellipse(x, y, rx, ry, angle), colour)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour, soft: float = 0.0) -> None:
        """A rectangle; `soft` is the length cut from its corners."""
        s = soft
        points = [(left + s, top), (right - s, top), (right, top + s), (right, bottom - s)]
        points += [(right - s, bottom), (left + s, bottom), (left, bottom - s), (left, top + s)]
        self.area(points, colour)

    def blob(self, points: Sequence[tuple[float, float]], colour: Colour) -> None:
        """A smooth outline through `points`."""
        self.area(curve(points), colour)

    def mark(self, points, colour: Colour) -> None:
        """Colour an area of the figure; where the figure is not, nothing shows."""
        self._colour.polygon(self._places(points), fill=tuple(int(c) for c in colour))

    def mark_line(self, points, colour: Colour, width: float) -> None:
        thick = max(2, int(width * self.size * FINE))
        self._colour.line(self._places(points), fill=tuple(int(c) for c in colour), width=thick, joint="curve")

    def texture(self, kind: str, colour: Colour, rng, *, pitch: float = 0.2, extent: float = 1.2) -> None:
        """Lay one of TEXTURES over what is drawn so far, in units of the figure (`pitch` from mark to mark)."""
        steps = np.arange(-extent, extent, pitch) + rng.uniform(0, pitch)
        if kind == "stripes":
            for x in steps:
                self.mark([(x, -2), (x + pitch * 0.48, -2), (x + pitch * 0.3, 2), (x - pitch * 0.18, 2)], colour)
        elif kind == "spots":
            for row, y in enumerate(steps * 0.9):
                for x in steps + (row % 2) * pitch / 2:
                    self.mark(ellipse(x, y, pitch * 0.27, pitch * 0.27), colour)
        elif kind == "checks":
            for row, y in enumerate(steps):
                for x in steps[row % 2 :: 2]:
                    self.mark([(x, y), (x + pitch, y), (x + pitch, y + pitch), (x, y + pitch)], colour)
        elif kind == "rings":
            for radius in np.arange(extent, pitch / 2, -pitch):
                self.mark(ellipse(0, 0, radius, radius), colour)
                self.mark(ellipse(0, 0, radius - pitch / 2, radius - pitch / 2), self.base_of_texture)
        elif kind == "patches":
            for _ in range(int(4 * extent / pitch)):
                x, y = rng.uniform(-extent, extent), rng.uniform(-extent, extent) * 0.8
                wobble = [rng.uniform(0.5, 1.1) * pitch for _ in range(7)]
                turns = np.linspace(0, 2 * np.pi, 7, endpoint=False)
                self.mark(curve([(x + r * np.cos(t), y + r * np.sin(t)) for r, t in zip(wobble, turns)]), colour)

    def texture_on(self, ground: Colour, kind: str, colour: Colour, rng, *, pitch: float) -> None:
        """Lay a texture over what is of colour `ground`, and nothing else."""
        before = np.asarray(self.colour).copy()
        self.texture(kind, colour, rng, pitch=pitch)
        elsewhere = (before != np.uint8(ground)).any(axis=-1)  # (h, w)
        self.colour.paste(Image.fromarray(before), mask=Image.fromarray(elsewhere))

    base_of_texture: Colour = WHITE  # what shows between rings


def ellipse(x: float, y: float, rx: float, ry: float, angle: float = 0) -> np.ndarray:
    """An outline (24, 2)."""
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    u, v = rx * np.cos(turn), ry * np.sin(turn)
    return np.stack([x + u * np.cos(angle) - v * np.sin(angle), y + u * np.sin(angle) + v * np.cos(angle)], 1)


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """A colour 0–255 from hue (in turns), saturation and value (0–1)."""
    return tuple(255 * c for c in colorsys.hsv_to_rgb(hue % 1, min(max(saturation, 0), 1), min(max(value, 0), 1)))


def shifted(colour: Colour, hue: float, saturation: float, value: float) -> Colour:
    """`colour` with its hue turned by `hue` turns, saturation and value multiplied."""
    h, s, v = colorsys.rgb_to_hsv(*(min(max(c, 0), 255) / 255 for c in colour))
    return hsv(h + hue, s * saturation, v * value)


def darker(colour: Colour, by: float = 0.35) -> Colour:
    return tuple(mix(colour, (12, 12, 20), by))


def paler(colour: Colour, by: float = 0.4) -> Colour:
    return tuple(mix(colour, (255, 252, 244), by))
