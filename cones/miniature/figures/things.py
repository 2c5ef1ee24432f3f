"""People, furniture, vessels, mushrooms and other things. Each figure is `draw(figure, rng, colours)`."""

import numpy as np

from cones.miniature.canvas import curve
from cones.miniature.figures.figure import BLACK, WHITE, Figure, darker, ellipse, paler

SKINS = [(244, 206, 176), (226, 172, 128), (184, 124, 82), (120, 78, 52)]
WOOD = (150, 98, 54)


def person(f: Figure, rng, colours) -> None:
    shirt, trousers = colours[:2]
    skin = SKINS[int(rng.integers(len(SKINS)))]
    stride, swing = rng.uniform(0.02, 0.24), rng.uniform(0.1, 0.4)
    for side in (-1, 1):
        f.line(
            [(side * 0.08, 0.1), (side * (0.08 + stride * 0.6), 0.52), (side * (0.08 + stride), 0.95)], trousers, 0.17
        )
        f.area(ellipse(side * (0.08 + stride) + 0.05, 0.97, 0.13, 0.06), BLACK)
    for side in (-1, 1):
        f.line(
            [(side * 0.2, -0.5), (side * (0.24 + swing * 0.5), -0.18), (side * (0.22 + swing * 0.4) + 0.06, 0.1)],
            darker(shirt, 0.12),
            0.12,
        )
        f.dot(side * (0.22 + swing * 0.4) + 0.06, 0.12, 0.07, skin)
    f.blob([(-0.24, -0.56), (0, -0.64), (0.24, -0.56), (0.22, 0.14), (0, 0.2), (-0.22, 0.14)], shirt)
    f.line([(0, -0.6), (0, -0.72)], skin, 0.13)
    f.oval(0.01, -0.84, 0.155, 0.18, skin)
    f.blob([(-0.16, -0.8), (-0.14, -1.0), (0.05, -1.06), (0.17, -0.94), (0.08, -0.93), (-0.06, -0.88)], BLACK)


def bottle(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    f.blob(
        [
            (-0.26, 0.95),
            (-0.3, 0.6),
            (-0.29, -0.1),
            (-0.12, -0.42),
            (-0.11, -0.9),
            (0.11, -0.9),
            (0.12, -0.42),
            (0.29, -0.1),
            (0.3, 0.6),
            (0.26, 0.95),
        ],
        main,
    )
    f.mark([(-0.3, 0.1), (0.3, 0.1), (0.3, 0.55), (-0.3, 0.55)], second)
    f.mark_line([(-0.18, -0.05), (-0.2, 0.85)], paler(main, 0.6), 0.05)
    f.box(-0.13, -1.02, 0.13, -0.84, (200, 170, 60))


def chair(f: Figure, rng, colours) -> None:
    main = colours[0]
    dark = darker(main, 0.3)
    f.line([(-0.3, 0.2), (-0.36, 0.95)], dark, 0.1)
    f.line([(0.4, 0.2), (0.5, 0.95)], dark, 0.1)
    f.line([(-0.5, -0.95), (-0.42, 0.2), (-0.5, 0.95)], main, 0.12)
    f.line([(-0.1, -0.95), (-0.06, 0.1)], main, 0.1)
    for y in (-0.85, -0.55, -0.25):
        f.line([(-0.5, y), (-0.08, y)], main, 0.12)
    f.area([(-0.46, 0.08), (0.46, 0.08), (0.6, 0.28), (-0.42, 0.28)], colours[1])
    f.line([(0.56, 0.26), (0.54, 0.95)], main, 0.12)


def diningtable(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    for x in (-0.8, 0.8):
        f.line([(x, -0.1), (x * 0.94, 0.62)], darker(main, 0.3), 0.12)
    f.area([(-0.78, -0.34), (0.78, -0.34), (1.1, 0), (-1.1, 0)], main)
    f.box(-1.1, 0, 1.1, 0.13, darker(main, 0.25))
    for x in (-0.5, 0.45):
        f.oval(x, -0.18, 0.24, 0.09, WHITE)
        f.mark(ellipse(x, -0.18, 0.14, 0.05), second)
    f.oval(0, -0.3, 0.1, 0.13, second)


def pottedplant(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    for turn in np.linspace(-1.25, 1.25, 8) + rng.uniform(-0.08, 0.08, 8):
        far = rng.uniform(0.75, 1.0)
        x, y = far * np.sin(turn) * 0.75, 0.2 - far * np.cos(turn)
        middle = np.array([x * 0.55, 0.2 + (y - 0.2) * 0.65])
        side = np.array([np.cos(turn), np.sin(turn)]) * 0.14
        f.area(
            curve([(0, 0.25), middle - side, (x, y), middle + side]),
            main if rng.uniform() < 0.6 else darker(main, 0.25),
        )
    f.area([(-0.34, 0.25), (0.34, 0.25), (0.24, 0.92), (-0.24, 0.92)], second)
    f.box(-0.4, 0.2, 0.4, 0.38, darker(second, 0.18))


def sofa(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    dark = darker(main, 0.22)
    for x in (-0.85, 0.85):
        f.box(x - 0.07, 0.4, x + 0.07, 0.6, BLACK)
    f.box(-0.9, -0.55, 0.9, 0.2, main, 0.12)
    f.mark_line([(0, -0.55), (0, 0.0)], dark, 0.05)
    f.box(-0.8, 0, 0.8, 0.45, dark, 0.04)
    for side in (-0.42, 0.42):
        f.box(side - 0.38, -0.06, side + 0.38, 0.16, paler(main, 0.15), 0.06)
    for x in (-0.94, 0.94):
        f.box(x - 0.16, -0.25, x + 0.16, 0.48, main, 0.09)
    f.area(ellipse(-0.55, -0.2, 0.22, 0.2, 0.4), second)


def tvmonitor(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    f.box(-0.1, 0.5, 0.1, 0.72, main)
    f.box(-0.42, 0.68, 0.42, 0.78, main)
    f.box(-0.95, -0.68, 0.95, 0.54, main, 0.05)
    f.box(-0.84, -0.57, 0.84, 0.43, second)
    f.mark([(-0.84, 0.05), (-0.3, -0.2), (0.2, 0.1), (0.84, -0.15), (0.84, 0.43), (-0.84, 0.43)], darker(second, 0.3))
    f.mark([(-0.7, -0.5), (-0.3, -0.5), (-0.6, 0.1), (-0.8, 0.1)], paler(second, 0.5))


def package(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    depth = rng.uniform(0.2, 0.36)
    f.area([(-0.85, -0.3), (-0.85 + depth, -0.3 - depth), (0.6 + depth, -0.3 - depth), (0.6, -0.3)], paler(main, 0.25))
    f.area([(0.6, -0.3), (0.6 + depth, -0.3 - depth), (0.6 + depth, 0.62 - depth), (0.6, 0.62)], darker(main, 0.3))
    f.box(-0.85, -0.3, 0.6, 0.62, main)
    f.mark([(-0.26, -0.3), (0.02, -0.3), (0.02, 0.62), (-0.26, 0.62)], second)
    f.mark(
        [(-0.26, -0.3), (-0.26 + depth, -0.3 - depth), (0.02 + depth, -0.3 - depth), (0.02, -0.3)], paler(second, 0.3)
    )
    f.box(-0.74, 0.02, -0.38, 0.36, WHITE)
    for y in (0.1, 0.18, 0.26):
        f.mark_line([(-0.7, y), (-0.44, y)], BLACK, 0.025)


def pistol(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    f.area([(-0.66, -0.08), (-0.22, -0.08), (-0.42, 0.8), (-0.86, 0.72)], second)
    for k in range(4):
        f.mark_line([(-0.74 - 0.03 * k, 0.14 + 0.14 * k), (-0.3, 0.2 + 0.14 * k)], darker(second, 0.4), 0.03)
    f.box(-0.84, -0.42, 0.92, -0.1, main, 0.04)
    f.box(-0.6, -0.12, 0.66, 0.04, darker(main, 0.35))
    f.mark([(-0.84, -0.42), (0.92, -0.42), (0.92, -0.34), (-0.84, -0.34)], paler(main, 0.35))
    for x in (-0.74, -0.66, -0.58):
        f.mark_line([(x, -0.4), (x, -0.14)], BLACK, 0.03)
    guard = ellipse(-0.04, 0.12, 0.2, 0.18)
    f.line([*guard, guard[0], guard[1]], darker(main, 0.2), 0.06)
    f.box(0.78, -0.5, 0.86, -0.4, main)


def chicken_of_the_woods(f: Figure, rng, colours) -> None:
    """Overlapping shelves, orange with a yellow rim."""
    main, second = colours[:2]
    for row, (y, count) in enumerate(((-0.5, 2), (-0.1, 3), (0.35, 2), (0.66, 1))):
        for k in range(count):
            x = (k - (count - 1) / 2) * 0.62 + rng.uniform(-0.1, 0.1)
            wide = rng.uniform(0.4, 0.52)
            f.blob(
                [
                    (x - wide, y),
                    (x - wide * 0.5, y - 0.2),
                    (x + wide * 0.5, y - 0.2),
                    (x + wide, y),
                    (x + wide * 0.4, y + 0.24),
                    (x - wide * 0.4, y + 0.24),
                ],
                second,
            )
            f.oval(x, y - 0.03, wide * 0.86, 0.15, main if row % 2 else darker(main, 0.1))


def chanterelle(f: Figure, rng, colours) -> None:
    """A yellow funnel with gills."""
    main = colours[0]
    lean, wide = rng.uniform(-0.15, 0.15), rng.uniform(0.62, 0.8)
    f.blob(
        [
            (-wide, -0.55),
            (-0.3, -0.2),
            (-0.16 + lean, 0.85),
            (0.16 + lean, 0.85),
            (0.3, -0.2),
            (wide, -0.55),
            (0, -0.4),
        ],
        main,
    )
    for x in np.linspace(-0.7, 0.7, 8):
        f.mark_line([(x * wide, -0.5), (x * 0.2 + lean * 0.5, 0.4)], darker(main, 0.3), 0.035)
    top = [
        (wide * (1 + 0.1 * np.sin(5 * t)) * np.cos(t), -0.58 + 0.2 * (1 + 0.2 * np.sin(4 * t)) * np.sin(t))
        for t in np.linspace(0, 6.28, 16, endpoint=False)
    ]
    f.area(curve(top), paler(main, 0.2))
    f.mark(ellipse(0, -0.58, wide * 0.55, 0.1), darker(main, 0.16))


def pothole(f: Figure, rng, colours) -> None:
    """A dark hollow seen at a slant, with a broken light rim and often water."""
    main, second = colours[:2]
    turns = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    rough = rng.uniform(0.8, 1.08, 12)
    edge = np.stack([rough * np.cos(turns), 0.46 * rough * np.sin(turns)], 1)
    f.area(curve(edge), second)
    f.area(curve(edge * rng.uniform(0.84, 0.92, (12, 1))), darker(main, 0.1))
    f.area(curve(edge * rng.uniform(0.6, 0.78, (12, 1)) + [0, 0.05]), darker(main, 0.45))
    if rng.uniform() < 0.35:
        f.mark(curve(edge * 0.5 + [0, 0.1]), (142, 156, 168))
    for _ in range(6):
        f.mark(ellipse(rng.uniform(-0.6, 0.6), rng.uniform(-0.2, 0.3), 0.05, 0.03), second)
