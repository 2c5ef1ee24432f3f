"""A look for any name: an emblem whose outline, texture and hue come from a cell of a grid.

Names are spread over the grid instead of drawing outline, texture and hue each by itself, so that no two names of one
list come too close; `cell_of` gives a single name its cell without knowing the others.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

from cones.miniature.canvas import Colour, curve
from cones.miniature.figures.figure import BLACK, TEXTURES, Figure, darker, ellipse, hsv, paler

HUES = 12
TINTS = ((0.85, 0.95), (0.75, 0.55), (0.3, 0.98))  # (saturation, value): bright, deep, pale
Cell = tuple[int, int, int, int]  # outline, texture, hue, tint


def _star(points: int, inner: float) -> np.ndarray:
    turn = np.linspace(0, 2 * np.pi, 2 * points, endpoint=False) - np.pi / 2
    far = np.where(np.arange(2 * points) % 2, inner, 1.0)
    return np.stack([far * np.cos(turn), far * np.sin(turn)], 1)


def _regular(corners: int, turn: float = 0) -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False) + turn
    return np.stack([np.cos(angles), np.sin(angles)], 1)


OUTLINES: dict[str, np.ndarray] = {
    "disc": ellipse(0, 0, 0.9, 0.9),
    "square": _regular(4, np.pi / 4),
    "triangle": _regular(3, -np.pi / 2),
    "bar": np.array([(-1, -0.36), (1, -0.36), (1, 0.36), (-1, 0.36)]),
    "star": _star(5, 0.45),
    "cross": np.array(
        [
            (-0.3, -1),
            (0.3, -1),
            (0.3, -0.3),
            (1, -0.3),
            (1, 0.3),
            (0.3, 0.3),
            (0.3, 1),
            (-0.3, 1),
            (-0.3, 0.3),
            (-1, 0.3),
            (-1, -0.3),
            (-0.3, -0.3),
        ]
    ),
    "drop": curve([(0, -1), (0.32, -0.3), (0.66, 0.3), (0.4, 0.8), (-0.4, 0.8), (-0.66, 0.3), (-0.32, -0.3)]),
    "heart": curve(
        [(0, -0.42), (0.45, -0.85), (0.92, -0.45), (0.6, 0.3), (0, 0.92), (-0.6, 0.3), (-0.92, -0.45), (-0.45, -0.85)]
    ),
    "arch": np.concatenate([ellipse(0, 0.4, 0.95, 0.95)[12:], ellipse(0, 0.4, 0.5, 0.5)[12:][::-1]]),
    "leaf": curve([(-1, 0.35), (-0.3, -0.5), (0.7, -0.55), (1, -0.35), (0.5, 0.35), (-0.4, 0.5)]),
    "gear": _star(9, 0.72),
    "hourglass": np.array([(-0.7, -0.95), (0.7, -0.95), (0.16, 0), (0.7, 0.95), (-0.7, 0.95), (-0.16, 0)]),
}


def cell_of(name: str, world: int = 0) -> Cell:
    """A cell by the hash of the name: for a name on its own; two names may come close."""
    digest = hashlib.sha256(f"{world}:{name}".encode()).digest()
    return digest[0] % len(OUTLINES), digest[1] % len(TEXTURES), digest[2] % HUES, digest[3] % len(TINTS)


def spread(names: Sequence[str], world: int = 0) -> dict[str, Cell]:
    """Cells for a list of names, each as far as can be from all before it; another `world` deals other cells.

    From 60 candidates by hash each name takes the one whose nearest neighbour among those dealt is farthest.
    """
    dealt: dict[str, Cell] = {}
    for name in names:
        candidates = [cell_of(f"{name}:{attempt}", world) for attempt in range(60)]
        dealt[name] = max(
            candidates, key=lambda cell: min((distance(cell, other) for other in dealt.values()), default=9)
        )
    return dealt


def distance(a: Cell, b: Cell) -> float:
    """How different two cells look: an outline counts 2, a texture 1, a tint 1, a hue up to 2."""
    around = abs(a[2] - b[2])
    hue = min(around, HUES - around) / (HUES / 2)
    return 2.0 * (a[0] != b[0]) + (a[1] != b[1]) + (a[3] != b[3]) + 2 * hue


def colours_of(cell: Cell) -> list[Colour]:
    """(main, second): the second is a contrast to the main one."""
    saturation, value = TINTS[cell[3]]
    main = hsv(cell[2] / HUES, saturation, value)
    second = hsv(cell[2] / HUES + 0.45, 0.8, 0.35) if value > 0.9 else paler(main, 0.75)
    return [main, second]


def emblem(cell: Cell):
    """The draw function of a cell: its outline with its texture, a dark rim and a small eye."""
    outline = OUTLINES[list(OUTLINES)[cell[0]]]

    def draw(f: Figure, rng, colours) -> None:
        main, second = colours[:2]
        f.area(outline, darker(main, 0.5))
        f.area(outline * 0.9, main)
        f.base_of_texture = main
        f.texture(TEXTURES[cell[1]], second, rng, pitch=0.42)
        f.line([*outline, outline[0], outline[1]], darker(main, 0.55), 0.09)
        f.dot(0, 0.05, 0.13, BLACK)
        f.dot(0.03, 0.02, 0.06, (255, 255, 255))

    return draw
