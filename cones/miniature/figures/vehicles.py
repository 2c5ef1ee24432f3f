"""Vehicles from the side, and a few from above. Each figure is `draw(figure, rng, colours)`."""

import numpy as np

from cones.miniature.canvas import curve
from cones.miniature.figures.figure import BLACK, WHITE, Figure, darker, ellipse, paler

GLASS, TYRE, METAL = (150, 196, 222), (30, 30, 34), (150, 154, 162)


def wheel(f: Figure, x: float, y: float, r: float) -> None:
    f.oval(x, y, r, r, TYRE)
    f.dot(x, y, r * 0.5, METAL)


def car(f: Figure, rng, colours) -> None:
    main, dark = colours[0], darker(colours[0], 0.3)
    roof = rng.uniform(-0.55, -0.42)
    f.blob(
        [
            (-0.98, 0.05),
            (-0.9, -0.12),
            (-0.55, -0.16),
            (0.6, -0.14),
            (0.95, -0.02),
            (1.0, 0.24),
            (0, 0.3),
            (-0.98, 0.26),
        ],
        main,
    )
    f.blob([(-0.62, -0.12), (-0.38, roof), (0.2, roof - 0.02), (0.58, -0.12), (0, -0.06)], main)
    f.area([(-0.48, -0.14), (-0.31, roof + 0.09), (-0.08, roof + 0.07), (-0.08, -0.14)], GLASS)
    f.area([(0.0, -0.14), (0.0, roof + 0.07), (0.18, roof + 0.08), (0.42, -0.14)], GLASS)
    f.mark([(-0.98, 0.16), (1, 0.16), (1, 0.3), (-0.98, 0.3)], dark)
    f.dot(0.93, 0.06, 0.07, (255, 236, 150))
    f.dot(-0.93, 0.04, 0.06, (214, 40, 40))
    for x in (-0.55, 0.56):
        wheel(f, x, 0.27, 0.21)


def _long_body(f: Figure, main, second, *, windows: int, top: float, door: bool) -> None:
    f.box(-1.05, top, 1.05, 0.3, main, 0.09)
    for k in range(windows):
        left = -0.97 + k * 1.96 / windows
        f.box(left, top + 0.12, left + 1.6 / windows, top + 0.42, GLASS)
    f.mark([(-1.05, 0.02), (1.05, 0.02), (1.05, 0.12), (-1.05, 0.12)], second)
    if door:
        f.box(0.62, top + 0.1, 0.82, 0.26, darker(main, 0.4))


def bus(f: Figure, rng, colours) -> None:
    _long_body(f, *colours[:2], windows=int(rng.integers(5, 7)), top=rng.uniform(-0.62, -0.52), door=True)
    f.dot(1.0, 0.2, 0.06, (255, 240, 170))
    for x in (-0.62, 0.5):
        wheel(f, x, 0.31, 0.19)


def train(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    f.area([(-1.35, 0.42), (1.35, 0.42), (1.35, 0.48), (-1.35, 0.48)], (92, 84, 80))
    f.blob([(-1.3, 0.28), (-1.3, -0.36), (-1.2, -0.42), (0.8, -0.42), (1.15, -0.24), (1.36, 0.14), (1.3, 0.3)], main)
    for x in np.linspace(-1.16, 0.5, 7):
        f.box(x, -0.28, x + 0.18, -0.04, GLASS)
    f.area([(0.86, -0.3), (1.08, -0.16), (1.2, 0), (0.86, 0)], darker(GLASS, 0.4))
    f.mark([(-1.4, 0.08), (1.4, 0.08), (1.4, 0.2), (-1.4, 0.2)], second)
    for x in (-1.02, -0.74, -0.14, 0.14, 0.74, 1.02):
        wheel(f, x, 0.34, 0.11)


def truck(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    high = rng.uniform(-0.68, -0.55)
    f.box(-1.05, high, 0.42, 0.2, second, 0.03)
    for x in np.arange(-0.9, 0.4, 0.22):
        f.mark_line([(x, high), (x, 0.2)], darker(second, 0.16), 0.03)
    f.box(-1.05, 0.18, 1.0, 0.3, darker(main, 0.6))
    f.blob([(0.46, 0.26), (0.46, -0.4), (0.78, -0.42), (0.98, -0.08), (1.06, 0.02), (1.06, 0.26)], main)
    f.area([(0.62, -0.3), (0.78, -0.3), (0.92, -0.06), (0.62, -0.06)], GLASS)
    for x in (-0.78, -0.4, 0.74):
        wheel(f, x, 0.31, 0.19)


def ambulance(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    f.box(-0.98, -0.6, 0.4, 0.26, main, 0.05)
    f.blob([(0.36, 0.26), (0.36, -0.44), (0.62, -0.42), (0.82, -0.12), (1.0, -0.02), (1.02, 0.26)], main)
    f.area([(0.46, -0.34), (0.6, -0.34), (0.76, -0.08), (0.46, -0.08)], GLASS)
    f.mark([(-1, 0.02), (1.05, 0.02), (1.05, 0.14), (-1, 0.14)], second)
    f.box(-0.36, -0.5, -0.22, -0.06, second)
    f.box(-0.51, -0.35, -0.07, -0.21, second)
    f.box(-0.05, -0.74, 0.2, -0.6, (40, 96, 236), 0.03)
    for x in (-0.6, 0.6):
        wheel(f, x, 0.29, 0.19)


def bicycle(f: Figure, rng, colours) -> None:
    main = colours[0]
    for x in (-0.56, 0.56):
        rim = ellipse(x, 0.24, 0.4, 0.4)
        f.line([*rim, rim[0], rim[1]], TYRE, 0.1)
        for turn in np.linspace(0, np.pi, 4, endpoint=False):
            f.line(
                [
                    (x - 0.38 * np.cos(turn), 0.24 - 0.38 * np.sin(turn)),
                    (x + 0.38 * np.cos(turn), 0.24 + 0.38 * np.sin(turn)),
                ],
                METAL,
                0.02,
            )
    top, seat = (0.36, -0.36), (-0.2, -0.42)
    for line in (
        [(-0.56, 0.24), (-0.02, 0.26), top, seat, (-0.02, 0.26)],
        [(-0.56, 0.24), seat],
        [(0.56, 0.24), top, (0.32, -0.56)],
    ):
        f.line(line, main, 0.12)
    f.line([(-0.36, -0.48), (-0.06, -0.48)], BLACK, 0.11)
    f.line([(0.3, -0.56), (0.52, -0.52)], BLACK, 0.09)


def motorbike(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    for x in (-0.62, 0.62):
        wheel(f, x, 0.26, 0.34)
    f.line([(0.62, 0.26), (0.4, -0.4), (0.22, -0.5)], METAL, 0.1)
    f.blob([(-0.4, 0.3), (-0.35, 0), (0.3, 0), (0.35, 0.3), (0, 0.4)], darker(METAL, 0.4))
    f.blob([(-0.9, -0.12), (-0.5, -0.18), (-0.1, -0.3), (0.3, -0.36), (0.45, -0.1), (0.1, 0.06), (-0.5, 0.05)], main)
    f.blob([(-0.75, -0.2), (-0.3, -0.26), (-0.05, -0.2), (-0.3, -0.12)], BLACK)
    f.area(ellipse(0.66, -0.04, 0.26, 0.09, 0.3), main)
    f.dot(0.5, -0.34, 0.1, second)


def rider(f: Figure, rng, colours) -> None:
    """A person on a two-wheeler that is hardly seen."""
    bicycle(f, rng, [(70, 74, 82)])
    main, skin = colours[:2]
    f.line([(-0.16, -0.45), (0.1, -0.16), (-0.02, 0.3)], darker(main, 0.55), 0.16)
    f.line([(-0.16, -0.45), (0.06, -0.98)], main, 0.32)
    f.line([(0.06, -0.92), (0.24, -0.66), (0.42, -0.56)], main, 0.12)
    f.oval(0.14, -1.2, 0.17, 0.19, skin)
    f.area(ellipse(0.14, -1.27, 0.2, 0.13), (240, 200, 30))


def boat(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    lean = rng.uniform(-0.05, 0.08)
    f.line([(-0.05, 0.3), (-0.05 + lean, -1.0)], (120, 84, 54), 0.06)
    f.area([(0.02 + lean, -0.92), (0.72, 0.16), (0.02, 0.16)], second)
    f.area([(-0.12 + lean, -0.8), (-0.12, 0.16), (-0.6, 0.16)], paler(second, 0.4))
    f.blob([(-0.95, 0.26), (0.95, 0.2), (0.6, 0.64), (-0.62, 0.66)], main)
    f.mark([(-1.2, 0.2), (1.2, 0.2), (1.2, 0.34), (-1.2, 0.34)], WHITE)


def aeroplane(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    f.area([(-0.98, -0.55), (-0.74, -0.55), (-0.5, -0.06), (-0.9, -0.06)], second)
    f.area([(-0.25, -0.4), (-0.05, -0.4), (0.25, 0), (-0.05, 0)], darker(main, 0.35))
    f.blob([(-1.05, -0.06), (-0.6, -0.15), (0.6, -0.16), (1.05, 0.04), (0.7, 0.16), (-0.5, 0.12)], main)
    for x in np.linspace(-0.5, 0.5, 7):
        f.dot(x, -0.05, 0.045, (60, 80, 120))
    f.area([(0.74, -0.1), (0.86, -0.07), (0.9, 0), (0.74, 0)], GLASS)
    f.area([(-0.55, 0.6), (-0.35, 0.6), (0.3, 0.08), (-0.1, 0.06)], darker(main, 0.15))
    f.area([(-1.05, 0.12), (-0.9, 0.12), (-0.65, -0.02), (-0.85, -0.04)], second)
    f.oval(0.0, 0.3, 0.17, 0.08, second)


def boat_above(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    f.blob([(-0.9, -0.3), (0.2, -0.36), (1.0, 0), (0.2, 0.36), (-0.9, 0.3)], WHITE)
    f.mark(curve([(-0.75, -0.18), (0.1, -0.2), (0.6, 0), (0.1, 0.2), (-0.75, 0.18)]), main)
    f.box(-0.3, -0.17, 0.15, 0.17, second, 0.05)


def car_above(f: Figure, rng, colours) -> None:
    main = colours[0]
    f.box(-0.9, -0.44, 0.9, 0.44, main, 0.14)
    f.box(-0.45, -0.34, 0.35, 0.34, darker(GLASS, 0.55), 0.06)
    f.box(-0.3, -0.3, 0.15, 0.3, paler(main, 0.25), 0.04)


def dock(f: Figure, rng, colours) -> None:
    main = colours[0]
    for x in np.arange(-0.95, 0.95, 0.19):
        f.box(x, -0.26, x + 0.17, 0.26, main if rng.uniform() < 0.6 else darker(main, 0.14))
    f.box(-0.97, -0.28, 0.97, -0.21, darker(main, 0.35))
    f.box(-0.97, 0.21, 0.97, 0.28, darker(main, 0.35))
    for x in (-0.85, 0, 0.85):
        for y in (-0.26, 0.26):
            f.dot(x, y, 0.08, darker(main, 0.6))


def jetski(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    f.blob([(-0.85, -0.3), (0.1, -0.36), (1.0, 0), (0.1, 0.36), (-0.85, 0.3)], main)
    f.blob([(-0.75, -0.14), (-0.05, -0.16), (-0.05, 0.16), (-0.75, 0.14)], BLACK)
    f.line([(0.15, -0.34), (0.22, 0.34)], second, 0.14)


def lift(f: Figure, rng, colours) -> None:
    """A boat lift: a canopy between four white posts."""
    main, second = colours[:2]
    for y in (-0.62, 0.62):
        f.line([(-0.9, y), (0.9, y)], WHITE, 0.12)
    for x in (-0.8, 0.8):
        f.line([(x, -0.68), (x, 0.68)], WHITE, 0.12)
    f.box(-0.66, -0.48, 0.66, 0.48, main, 0.06)
    for y in (-0.24, 0.24):
        f.mark_line([(-0.66, y), (0.66, y)], second, 0.08)
