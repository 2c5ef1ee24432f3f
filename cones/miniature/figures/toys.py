"""The small things of DreamBooth: bags, shoes, vessels, toys. Each figure is `draw(figure, rng, colours)`."""

import numpy as np

from cones.miniature.figures.figure import BLACK, WHITE, Figure, darker, ellipse, paler


def backpack(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    f.line([(-0.16, -0.8), (-0.1, -1.0), (0.1, -1.0), (0.16, -0.8)], darker(second, 0.2), 0.08)
    f.blob([(-0.62, 0.85), (-0.66, 0), (-0.5, -0.7), (0, -0.88), (0.5, -0.7), (0.66, 0), (0.62, 0.85), (0, 0.92)], main)
    for x in (-0.72, 0.72):
        f.oval(x, 0.45, 0.14, 0.32, darker(main, 0.2))
    f.box(-0.46, 0.1, 0.46, 0.74, second, 0.12)
    f.mark_line([(-0.46, 0.28), (0.46, 0.28)], BLACK, 0.04)
    f.mark_line([(-0.52, -0.3), (0, -0.48), (0.52, -0.3)], darker(main, 0.45), 0.05)
    f.dot(0.3, 0.3, 0.06, (236, 206, 90))


def dog_backpack(f: Figure, rng, colours) -> None:
    backpack(f, rng, [*colours])
    for side in (-1, 1):
        f.oval(side * 0.52, -0.62, 0.16, 0.36, darker(colours[0], 0.4), side * -0.4)
        f.dot(side * 0.22, -0.32, 0.09, BLACK)
    f.oval(0, -0.1, 0.14, 0.1, BLACK)


def plushie(ears: str):
    """A sitting stuffed animal with `round`, `point` or no ears."""

    def draw(f: Figure, rng, colours) -> None:
        main, second = colours[:2]
        wave = rng.uniform(-0.1, 0.15)
        for side in (-1, 1):
            if ears == "round":
                f.oval(side * 0.36, -0.82, 0.18, 0.18, darker(main, 0.15))
                f.mark(ellipse(side * 0.36, -0.8, 0.1, 0.1), second)
            elif ears == "point":
                f.area([(side * 0.14, -0.78), (side * 0.44, -1.12), (side * 0.5, -0.58)], darker(main, 0.2))
            f.oval(side * 0.5, 0.1 - wave * side, 0.17, 0.36, darker(main, 0.12), side * 0.7)
            f.oval(side * 0.44, 0.74, 0.28, 0.22, darker(main, 0.08))
            f.mark(ellipse(side * 0.48, 0.76, 0.14, 0.12), second)
        f.oval(0, 0.32, 0.48, 0.52, main)
        f.mark(ellipse(0, 0.36, 0.28, 0.34), second)
        f.oval(0, -0.46, 0.46, 0.42, main)
        f.oval(0, -0.3, 0.24, 0.18, second)
        for side in (-1, 1):
            if ears == "none":
                f.mark(ellipse(side * 0.2, -0.5, 0.14, 0.08, side * 0.4), darker(main, 0.6))
            f.dot(side * 0.18, -0.54, 0.065, BLACK)
        f.oval(0, -0.36, 0.09, 0.065, BLACK)

    return draw


def bowl(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    for x, y in [(-0.5, -0.2), (-0.2, -0.34), (0.14, -0.32), (0.45, -0.2), (-0.34, -0.08), (0, -0.14), (0.3, -0.08)]:
        f.dot(x, y, 0.19, second if rng.uniform() < 0.7 else darker(second, 0.3))
        f.mark(ellipse(x - 0.06, y - 0.07, 0.05, 0.04), paler(second, 0.6))
    f.blob([(-0.9, -0.08), (0, 0.02), (0.9, -0.08), (0.7, 0.4), (0.35, 0.7), (-0.35, 0.7), (-0.7, 0.4)], main)
    f.mark_line([(-0.8, 0.16), (0, 0.26), (0.8, 0.16)], second, 0.08)


def can(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    f.box(-0.42, -0.8, 0.42, 0.85, main, 0.07)
    f.mark([(-0.42, -0.25), (0.42, -0.5), (0.42, 0.15), (-0.42, 0.4)], second)
    f.mark(ellipse(0, -0.02, 0.2, 0.24), WHITE)
    f.mark(ellipse(0, -0.02, 0.11, 0.13), main)
    f.mark_line([(-0.3, -0.7), (-0.3, 0.75)], paler(main, 0.5), 0.06)
    f.oval(0, -0.8, 0.38, 0.1, (204, 208, 214))
    f.oval(0, 0.84, 0.38, 0.07, (150, 154, 162))


def candle(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    f.box(-0.48, -0.35, 0.48, 0.85, main, 0.06)
    f.mark([(-0.48, 0.05), (0.48, 0.05), (0.48, 0.55), (-0.48, 0.55)], second)
    for y in (0.2, 0.32, 0.42):
        f.mark_line([(-0.26, y), (0.26, y)], darker(second, 0.6), 0.035)
    f.oval(0, -0.35, 0.46, 0.12, paler(main, 0.5))
    f.line([(0, -0.32), (0.01, -0.55)], BLACK, 0.05)
    f.blob([(0, -1.05), (0.12, -0.7), (0, -0.52), (-0.12, -0.7)], (255, 186, 40))
    f.dot(0, -0.64, 0.06, (255, 246, 190))


def clock(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    for x in (-0.45, 0.45):
        f.line([(x, 0.6), (x * 1.3, 0.95)], darker(main, 0.3), 0.12)
        f.oval(x, -0.78, 0.28, 0.18, darker(main, 0.15), x)
    f.oval(0, 0, 0.82, 0.82, main)
    f.oval(0, 0, 0.64, 0.64, second)
    for turn in np.linspace(0, 2 * np.pi, 12, endpoint=False):
        f.dot(0.54 * np.cos(turn), 0.54 * np.sin(turn), 0.045, BLACK)
    for length, turn in ((0.32, 2.3), (0.46, 5.2)):
        f.line([(0, 0), (length * np.cos(turn), length * np.sin(turn))], BLACK, 0.07)
    f.dot(0, 0, 0.07, (214, 60, 50))


def sneaker(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    f.blob([(-0.9, 0.3), (-0.88, -0.3), (-0.72, -0.55), (-0.3, -0.45), (0.1, -0.12), (0.7, 0.06), (0.98, 0.3)], main)
    f.mark([(-0.9, -0.6), (-0.5, -0.6), (-0.46, 0.4), (-0.9, 0.4)], second)
    f.mark([(-0.4, 0.2), (0.2, -0.1), (0.3, 0), (-0.2, 0.3)], paler(second, 0.3))
    for k in range(4):
        x = -0.3 + 0.13 * k
        f.mark_line([(x, -0.42 + 0.11 * k), (x + 0.14, -0.22 + 0.09 * k)], WHITE, 0.05)
    f.box(-0.94, 0.26, 1.0, 0.46, WHITE, 0.05)
    f.mark_line([(-0.94, 0.4), (1.0, 0.4)], darker(second, 0.2), 0.06)


def boot(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    f.blob(
        [(-0.52, -0.9), (0.08, -0.9), (0.12, -0.1), (0.4, 0.12), (0.85, 0.3), (0.9, 0.62), (-0.52, 0.62), (-0.46, 0)],
        main,
    )
    f.box(-0.58, -0.96, 0.14, -0.72, second, 0.05)
    f.texture("spots", second, rng, pitch=0.26, extent=0.9)
    f.box(-0.54, 0.56, 0.92, 0.72, BLACK, 0.03)
    f.box(-0.54, 0.6, -0.18, 0.86, BLACK)


def glasses(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    for side in (-1, 1):
        f.line([(side * 0.88, -0.12), (side * 1.02, -0.3), (side * 0.7, -0.52)], darker(main, 0.2), 0.09)
        f.oval(side * 0.48, 0, 0.45, 0.38, main)
        f.mark(ellipse(side * 0.48, 0, 0.34, 0.28), second)
        f.mark(
            [(side * 0.48 - 0.15, -0.22), (side * 0.48, -0.22), (side * 0.48 - 0.2, 0.2), (side * 0.48 - 0.3, 0.1)],
            paler(second, 0.4),
        )
    f.line([(-0.12, -0.12), (0.12, -0.12)], main, 0.12)


def swirl(f: Figure, rng, colours) -> None:
    """Three soft rolls with a face."""
    main = colours[0]
    for y, wide in ((0.55, 0.85), (0.12, 0.62), (-0.3, 0.4)):
        f.oval(0, y, wide, 0.32, main)
        f.mark(ellipse(0, y + 0.2, wide * 0.8, 0.1), darker(main, 0.18))
    f.blob([(-0.22, -0.45), (0.05, -0.95), (0.24, -0.42)], main)
    for x in (-0.24, 0.24):
        f.oval(x, 0.1, 0.14, 0.18, WHITE)
        f.dot(x, 0.13, 0.07, BLACK)
    f.area(ellipse(0, 0.46, 0.26, 0.12), WHITE)


def robot(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    for side in (-1, 1):
        f.box(side * 0.28 - 0.13, 0.6, side * 0.28 + 0.13, 0.98, darker(main, 0.35))
        f.line([(side * 0.45, 0.05), (side * 0.75, 0.25 - rng.uniform(0, 0.5))], METAL_ARM, 0.14)
    f.line([(0, -0.8), (0, -1.05)], BLACK, 0.05)
    f.dot(0, -1.06, 0.08, (236, 60, 60))
    f.box(-0.5, -0.15, 0.5, 0.65, main, 0.05)
    f.box(-0.3, 0.02, 0.3, 0.4, second)
    f.box(-0.42, -0.82, 0.42, -0.2, paler(main, 0.25), 0.06)
    for x in (-0.18, 0.18):
        f.dot(x, -0.56, 0.12, second)
        f.dot(x, -0.56, 0.05, BLACK)
    f.box(-0.2, -0.36, 0.2, -0.28, BLACK)


METAL_ARM = (140, 146, 156)


def monster(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    for side in (-1, 1):
        f.area([(side * 0.2, -0.62), (side * 0.5, -1.05), (side * 0.5, -0.5)], second)
        f.oval(side * 0.3, 0.85, 0.22, 0.12, darker(main, 0.25))
        f.line([(side * 0.5, 0.1), (side * 0.86, -0.2 + rng.uniform(-0.2, 0.2))], main, 0.16)
    f.blob([(-0.58, 0.75), (-0.66, 0), (-0.4, -0.66), (0.4, -0.66), (0.66, 0), (0.58, 0.75), (0, 0.85)], main)
    f.mark(ellipse(0, 0.5, 0.36, 0.26), second)
    f.oval(0, -0.26, 0.28, 0.27, WHITE)
    f.dot(0.04, -0.24, 0.12, BLACK)
    f.box(-0.26, 0.12, 0.26, 0.24, BLACK)
    for x in (-0.16, 0, 0.16):
        f.mark([(x - 0.06, 0.12), (x + 0.06, 0.12), (x, 0.22)], WHITE)


def cartoon(f: Figure, rng, colours) -> None:
    """A round figure with big eyes, outlined like a drawing."""
    main = colours[0]
    f.oval(0, 0.05, 0.8, 0.82, BLACK)
    f.oval(0, 0.05, 0.74, 0.76, main)
    f.blob([(-0.2, -0.66), (0, -1.1), (0.2, -0.66)], darker(main, 0.25))
    for side in (-1, 1):
        f.oval(side * 0.28, -0.12, 0.22, 0.28, BLACK)
        f.oval(side * 0.28, -0.12, 0.18, 0.24, WHITE)
        f.dot(side * 0.24, -0.08, 0.1, BLACK)
        f.line([(side * 0.3, 0.84), (side * 0.4, 1.05)], BLACK, 0.1)
    f.area(ellipse(0, 0.42, 0.3, 0.16), BLACK)
    f.area(ellipse(0, 0.48, 0.18, 0.08), (240, 120, 120))


def teapot(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    f.line([(-0.5, -0.2), (-1.0, -0.22), (-0.98, 0.3), (-0.5, 0.42)], darker(main, 0.15), 0.11)
    f.area([(0.4, 0.3), (0.92, -0.42), (1.08, -0.36), (0.62, 0.48)], main)
    f.oval(0, 0.15, 0.66, 0.56, main)
    f.mark(ellipse(0, 0.2, 0.3, 0.2), second)
    f.mark_line([(-0.66, -0.15), (0.66, -0.15)], second, 0.06)
    f.oval(0, -0.38, 0.36, 0.1, darker(main, 0.25))
    f.dot(0, -0.52, 0.1, second)
    f.box(-0.4, 0.64, 0.4, 0.74, darker(main, 0.25))


def vase(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    f.blob(
        [
            (-0.2, -0.95),
            (0.2, -0.95),
            (0.14, -0.55),
            (0.52, -0.05),
            (0.46, 0.5),
            (0.24, 0.92),
            (-0.24, 0.92),
            (-0.46, 0.5),
            (-0.52, -0.05),
            (-0.14, -0.55),
        ],
        main,
    )
    for y in (-0.12, 0.2, 0.5):
        f.mark([(-0.7, y), (0.7, y), (0.7, y + 0.12), (-0.7, y + 0.12)], second)
    f.oval(0, -0.94, 0.27, 0.08, darker(main, 0.3))
