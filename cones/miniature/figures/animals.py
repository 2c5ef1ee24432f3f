"""Animals and hands. Each figure is `draw(figure, rng, colours)` with colours (main, second, …) of its class."""

import numpy as np

from cones.miniature.canvas import curve
from cones.miniature.figures.figure import BLACK, WHITE, Figure, darker, ellipse, paler


def quadruped(
    *,
    ears: str = "point",
    tail: str = "thin",
    leg: float = 0.5,
    neck: float = 0.15,
    head: float = 0.22,
    snout: float = 0.14,
    belly: float = 0.27,
    texture: str = "plain",
    pitch: float = 0.2,
    mask: bool = False,
    wool: bool = False,
    horns: bool = False,
    mane: bool = False,
):
    """A four-legged animal seen from the side; returns its draw function. `leg`, `neck`, `head`, `snout` and `belly`
    are lengths in units of the figure."""

    def draw(f: Figure, rng, colours) -> None:
        main, second = colours[0], colours[1]
        ground, dark = 0.1 + leg, darker(main, 0.3)
        limb = dark if not wool else darker(second, 0.1)
        nod, stride = rng.uniform(-0.1, 0.1), rng.uniform(0.02, 0.14)
        _tail(f, rng, tail, main, second, belly)
        for x, shade in ((-0.36, -1), (0.36, -1), (-0.46, 1), (0.44, 1)):
            swing = stride * rng.uniform(-1, 1)
            colour = darker(limb, 0.25) if shade < 0 else limb
            f.line([(x, 0.05), (x + swing / 2, ground * 0.6), (x + swing, ground)], colour, 0.12 if leg > 0.3 else 0.14)
        if wool:
            for turn in np.linspace(0, 2 * np.pi, 13, endpoint=False):
                f.oval(0.48 * np.cos(turn), -0.08 + belly * np.sin(turn), 0.17, 0.15, main)
            f.oval(0, -0.08, 0.52, belly, paler(main, 0.3))
        else:
            f.blob(
                [(-0.6, -0.12), (-0.3, -belly), (0.35, -belly), (0.6, -0.2), (0.5, 0.16), (0, 0.2), (-0.5, 0.18)], main
            )
        hx, hy = 0.62 + neck * 0.5, -0.28 - neck + nod
        f.blob([(0.3, -0.2), (hx - 0.12, hy), (hx + 0.06, hy + 0.1), (0.58, 0.06), (0.4, 0.1)], main)
        if texture != "plain":
            f.texture(texture, second, rng, pitch=pitch, extent=0.75)
        if mane:
            f.blob(
                [(0.22, -0.2), (hx - 0.2, hy - 0.16), (hx + 0.02, hy - 0.2), (hx - 0.04, hy + 0.04), (0.42, -0.08)],
                second,
            )
        _head(f, hx, hy, head, snout, main if not wool else second, second, ears=ears, mask=mask, horns=horns)

    return draw


def _tail(f: Figure, rng, kind: str, main, second, belly: float) -> None:
    up = rng.uniform(-0.3, 0.15)
    if kind == "thin":
        f.line(curve([(-0.5, -0.1), (-0.8, -0.2 + up), (-0.92, -0.45 + up), (-0.8, -0.25 + up)]), main, 0.07)
    elif kind == "hang":
        f.line([(-0.56, -0.15), (-0.72, 0.1), (-0.68, 0.4)], darker(main, 0.3), 0.07)
    elif kind == "puff":
        f.oval(-0.64, -0.1, 0.15, 0.14, WHITE)
    elif kind == "brush":
        f.blob([(-0.5, -0.1), (-0.7, -0.1), (-0.85, 0.3), (-0.7, 0.5), (-0.58, 0.2)], second)
    elif kind == "ringed":
        for k, at in enumerate(np.linspace(0, 1, 7)):
            x, y = -0.55 - 0.45 * at, -0.1 + (0.1 + up) * at - 0.25 * at**2
            f.oval(x, y, 0.12, 0.13, darker(main, 0.75) if k % 2 else paler(main, 0.25))


def _head(f: Figure, x, y, r, snout, colour, second, *, ears: str, mask: bool, horns: bool) -> None:
    if horns:
        f.line([(x - 0.05, y - r * 0.7), (x + 0.02, y - r * 1.5)], (226, 216, 190), 0.06)
    if ears == "point":
        for side in (-0.6, 0.35):
            f.area(
                [(x + (side - 0.4) * r, y - 0.5 * r), (x + side * r, y - 1.6 * r), (x + (side + 0.5) * r, y - 0.6 * r)],
                colour,
            )
    elif ears == "long":
        for lean in (-0.5, 0.1):
            f.area(ellipse(x + (lean * 1.3 - 0.2) * r, y - 1.7 * r, 0.3 * r, 1.2 * r, lean * 0.5), darker(colour, 0.12))
            f.mark(ellipse(x + (lean * 1.3 - 0.2) * r, y - 1.7 * r, 0.13 * r, 0.9 * r, lean * 0.5), (232, 176, 170))
    elif ears == "round":
        for side in (-0.7, 0.4):
            f.oval(x + side * r, y - 0.8 * r, 0.36 * r, 0.36 * r, darker(colour, 0.25))
    f.oval(x, y, r, r * 0.9, colour)
    f.blob([(x, y - 0.3 * r), (x + r + snout, y + 0.1 * r), (x + r + snout, y + 0.6 * r), (x, y + 0.8 * r)], colour)
    if mask:
        f.mark(
            [
                (x - 0.5 * r, y - 0.35 * r),
                (x + 1.1 * r, y - 0.2 * r),
                (x + r, y + 0.3 * r),
                (x - 0.4 * r, y + 0.25 * r),
            ],
            BLACK,
        )
        f.mark(ellipse(x + r, y + 0.45 * r, 0.45 * r, 0.28 * r), WHITE)
    if ears == "flop":
        f.oval(x - 0.45 * r, y + 0.3 * r, 0.32 * r, 0.75 * r, darker(second, 0.1), 0.25)
    f.dot(x + 0.35 * r, y - 0.15 * r, 0.16 * r, WHITE if mask else BLACK)
    f.dot(x + r + snout * 0.9, y + 0.22 * r, 0.2 * r, BLACK)


def bird(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    flap = rng.uniform(-0.6, 0.25)
    for foot in (-0.05, 0.12):
        f.line([(foot, 0.2), (foot, 0.52)], (228, 150, 40), 0.05)
    f.area([(-0.3, 0), (-1.0, 0.16), (-0.95, 0.32), (-0.3, 0.22)], darker(main, 0.3))
    f.blob([(-0.5, 0.05), (-0.1, -0.25), (0.35, -0.2), (0.45, 0.05), (0.15, 0.32), (-0.25, 0.28)], main)
    f.mark(ellipse(0.25, 0.18, 0.3, 0.18), second)
    f.oval(0.46, -0.3, 0.22, 0.21, main)
    f.area([(0.62, -0.38), (0.95, -0.26), (0.62, -0.18)], (244, 176, 40))
    f.blob([(0.2, -0.12), (-0.15, -0.1 + flap * 0.4), (-0.62, flap), (-0.35, 0.12), (0.05, 0.14)], darker(main, 0.22))
    f.dot(0.52, -0.34, 0.05, BLACK)


def duck(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    f.blob([(-0.75, -0.05), (-0.4, 0.05), (0.3, 0), (0.6, 0.3), (0.3, 0.68), (-0.4, 0.66), (-0.7, 0.35)], main)
    f.oval(0.36, -0.3, 0.38, 0.37, main)
    f.area(ellipse(0.78, -0.24, 0.26, 0.12, 0.1), second)
    f.blob([(-0.45, 0.2), (0.15, 0.18), (0.05, 0.48), (-0.35, 0.45)], darker(main, 0.15))
    f.dot(0.46, -0.4, 0.08, BLACK)


def crab(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    dark, reach = darker(main, 0.3), rng.uniform(-0.1, 0.1)
    for side in (-1, 1):
        for k, spread in enumerate((0.1, 0.34, 0.58)):
            knee = (side * (0.78 + 0.06 * k), -0.05 + spread * 0.8 + reach * 0.5)
            f.line([(side * 0.4, 0.1 + spread * 0.25), knee, (side * (0.9 - 0.1 * k), knee[1] + 0.28)], dark, 0.09)
        f.line([(side * 0.42, -0.1), (side * 0.78, -0.3), (side * 0.7, -0.55)], dark, 0.13)
        x, y = side * 0.62, -0.72 + reach
        f.oval(x, y, 0.27, 0.2, main, side * 0.4)
        f.area([(x - side * 0.32, y - 0.2), (x - side * 0.02, y - 0.02), (x - side * 0.36, y + 0.02)], second)
    f.blob(
        [(-0.6, -0.02), (-0.4, -0.32), (0, -0.4), (0.4, -0.32), (0.6, -0.02), (0.4, 0.34), (0, 0.42), (-0.4, 0.34)],
        main,
    )
    f.mark(ellipse(0, 0.25, 0.4, 0.12), second)
    for side in (-0.18, 0.18):
        f.line([(side, -0.32), (side * 1.1, -0.5)], dark, 0.05)
        f.dot(side * 1.1, -0.52, 0.07, BLACK)


def lobster(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    dark, bend = darker(main, 0.3), rng.uniform(-0.12, 0.12)
    for side in (-1, 1):
        f.line(curve([(side * 0.08, -0.35), (side * 0.3, -0.8), (side * 0.75, -1.1), (side * 0.3, -0.8)]), dark, 0.03)
        for k in range(4):
            f.line(
                [(side * 0.15, -0.1 + 0.12 * k), (side * 0.5, -0.05 + 0.16 * k), (side * 0.55, 0.12 + 0.16 * k)],
                dark,
                0.05,
            )
        f.line([(side * 0.15, -0.25), (side * 0.42, -0.42), (side * 0.36, -0.6)], main, 0.1)
        f.oval(side * 0.38, -0.8, 0.17, 0.3, main, side * 0.15)
        f.area([(side * 0.38, -0.8), (side * 0.2, -1.15), (side * 0.42, -1.12)], second)
    f.oval(0, -0.12, 0.24, 0.34, main)
    for k, at in enumerate(np.linspace(0.2, 0.75, 6)):
        f.oval(bend * at * 2, at, 0.22 - 0.09 * at, 0.09, main if k % 2 else dark)
    for turn in (-0.5, 0, 0.5):
        f.oval(bend * 1.8 + turn * 0.34, 0.92 - abs(turn) * 0.1, 0.11, 0.17, second, -turn)
    for side in (-0.09, 0.09):
        f.dot(side, -0.4, 0.045, BLACK)


def shrimp(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    curl = rng.uniform(0.85, 1.1)
    turns = np.linspace(-0.6, 2.6 * curl, 9)
    for k, turn in enumerate(turns[::-1]):
        x, y = 0.48 * np.cos(turn), -0.48 * np.sin(turn) + 0.1
        thick = 0.12 + 0.022 * k
        f.oval(x, y, thick * 1.15, thick, second if k % 2 else main, -turn)
        if k > 2:
            f.line([(x * 0.75, y * 0.75), (x * 0.45, y * 0.45 + 0.05)], darker(main, 0.2), 0.035)
    x, y = 0.48 * np.cos(turns[0]), -0.48 * np.sin(turns[0]) + 0.1
    for away in (0.5, 0.75):
        f.line(
            curve([(x, y), (x + 0.2, y + 0.3 * away), (x - 0.2, y + 0.75 * away), (x + 0.2, y + 0.3 * away)]),
            main,
            0.03,
        )
    f.area([(x - 0.1, y + 0.1), (x + 0.32, y + 0.34), (x + 0.16, y - 0.08)], darker(main, 0.15))
    f.dot(x + 0.02, y - 0.02, 0.06, BLACK)
    tail = turns[-1]
    tx, ty = 0.48 * np.cos(tail), -0.48 * np.sin(tail) + 0.1
    for lean in (-0.5, 0.4):
        f.oval(tx - 0.05, ty + 0.16 + 0.04 * lean, 0.09, 0.2, darker(second, 0.15), lean)


def hand(f: Figure, rng, colours) -> None:
    main = colours[0]
    dark, grip = darker(main, 0.18), rng.uniform(0.45, 1)
    f.blob([(-0.36, 0.75), (-0.44, 0.2), (-0.36, -0.08), (0.3, -0.12), (0.42, 0.2), (0.32, 0.75)], main)
    for k, (x, length) in enumerate(((-0.3, 0.62), (-0.1, 0.78), (0.1, 0.74), (0.29, 0.56))):
        lean = (x * 0.5 + rng.uniform(-0.05, 0.05)) * grip
        f.line([(x, 0.05), (x + lean * 0.5, -0.1 - length * grip * 0.5)], main if k % 2 else dark, 0.2)
        f.line([(x, 0.05), (x + lean, -0.1 - length * grip)], main, 0.17)
        f.dot(x + lean, -0.1 - length * grip, 0.085, main)
        f.mark(ellipse(x + lean, -0.12 - length * grip, 0.05, 0.05), paler(main, 0.45))
    thumb = rng.uniform(0.55, 0.85)
    f.line([(0.26, 0.4), (0.5, 0.18), (thumb, -0.05)], main, 0.2)
    f.dot(thumb, -0.05, 0.1, main)
    for x in (-0.2, 0, 0.2):
        f.mark_line([(x, 0.02), (x, 0.16)], dark, 0.03)
