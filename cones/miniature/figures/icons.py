"""Bold figures for small pictures: large parts, few details. Each is `draw(figure, rng, colours)`."""

from cones.miniature.canvas import curve
from cones.miniature.figures.figure import BLACK, WHITE, Figure, darker, ellipse, paler


def sitting_cat(f: Figure, rng, colours) -> None:
    """From the front: pointed ears, whiskers, a tail around the side."""
    main, second = colours[:2]
    f.line(
        curve([(0.4, 0.75), (0.8, 0.6), (0.86, 0.1 + rng.uniform(-0.2, 0.2)), (0.74, 0.55)]), darker(main, 0.2), 0.16
    )
    f.oval(0, 0.42, 0.5, 0.55, main)
    f.mark(ellipse(0, 0.5, 0.24, 0.36), second)
    for side in (-1, 1):
        f.oval(side * 0.24, 0.88, 0.2, 0.12, darker(main, 0.2))
        f.area([(side * 0.1, -0.6), (side * 0.52, -1.06), (side * 0.56, -0.3)], darker(main, 0.15))
    f.oval(0, -0.36, 0.55, 0.44, main)
    for side in (-1, 1):
        f.dot(side * 0.22, -0.42, 0.1, BLACK)
        f.mark_line([(side * 0.14, -0.18), (side * 0.5, -0.12)], BLACK, 0.05)
    f.dot(0, -0.24, 0.09, second)


def standing_dog(ears: str):
    """From the side: thick legs, a long snout, `flop` or `point` ears."""

    def draw(f: Figure, rng, colours) -> None:
        main, second = colours[:2]
        wag = rng.uniform(-0.15, 0.15)
        f.line([(-0.6, -0.05), (-0.95, -0.4 + wag)], darker(main, 0.2), 0.15)
        for x in (-0.46, 0.34):
            f.box(x - 0.13, 0.1, x + 0.13, 0.85, darker(main, 0.2), 0.04)
        f.blob([(-0.72, 0), (-0.5, -0.28), (0.35, -0.28), (0.6, 0), (0.5, 0.4), (0, 0.44), (-0.62, 0.38)], main)
        f.oval(0.5, -0.42, 0.38, 0.36, main)
        f.box(0.55, -0.5, 1.02, -0.16, second, 0.08)
        f.dot(0.99, -0.44, 0.1, BLACK)
        f.dot(0.56, -0.52, 0.085, BLACK)
        if ears == "flop":
            f.oval(0.26, -0.32, 0.15, 0.36, second, 0.2)
        else:
            f.area([(0.12, -0.6), (0.2, -1.08), (0.5, -0.7)], second)

    return draw


def boot(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    f.blob(
        [(-0.52, -0.9), (0.12, -0.9), (0.16, -0.1), (0.44, 0.12), (0.88, 0.3), (0.9, 0.66), (-0.54, 0.66), (-0.48, 0)],
        main,
    )
    f.box(-0.62, -0.98, 0.22, -0.66, second, 0.05)
    f.box(-0.58, 0.58, 0.94, 0.76, BLACK, 0.03)
    f.box(-0.58, 0.6, -0.14, 0.92, BLACK)


def vase(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    neck, belly = rng.uniform(0.14, 0.2), rng.uniform(0.56, 0.66)
    left = [(-0.3, -0.95), (-neck, -0.55), (-belly, 0.05), (-0.5, 0.55), (-0.28, 0.92)]
    f.blob([*((-x, y) for x, y in left), *reversed(left)], main)
    f.oval(0, -0.93, 0.34, 0.12, second)
    f.box(-0.32, 0.84, 0.32, 0.96, second)


def glasses(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    for side in (-1, 1):
        f.line([(side * 0.86, -0.15), (side * 1.02, -0.42), (side * 0.74, -0.62)], darker(main, 0.2), 0.14)
        f.oval(side * 0.5, 0, 0.5, 0.46, main)
        f.mark(ellipse(side * 0.5, 0.02, 0.28, 0.25), second)
    f.line([(-0.14, -0.12), (0.14, -0.12)], main, 0.18)


def bowl(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    for x, y in [(-0.48, -0.22), (-0.16, -0.38), (0.18, -0.36), (0.48, -0.2)]:
        f.dot(x, y, 0.26, second)
        f.mark(ellipse(x - 0.08, y - 0.09, 0.07, 0.06), paler(second, 0.6))
    f.blob([(-0.96, -0.14), (0, -0.02), (0.96, -0.14), (0.74, 0.46), (0.36, 0.78), (-0.36, 0.78), (-0.74, 0.46)], main)
    f.box(-0.4, 0.74, 0.4, 0.86, darker(main, 0.3))


def can(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    f.box(-0.5, -0.82, 0.5, 0.85, main, 0.08)
    f.mark([(-0.5, -0.14), (0.5, -0.14), (0.5, 0.24), (-0.5, 0.24)], second)
    f.oval(0, -0.82, 0.46, 0.13, (204, 208, 214))
    f.dot(0.1, -0.82, 0.08, BLACK)
    f.oval(0, 0.85, 0.46, 0.09, (150, 154, 162))


def teapot(f: Figure, rng, colours) -> None:
    main, second = colours[:2]
    f.line([(-0.5, -0.2), (-1.0, -0.24), (-0.98, 0.34), (-0.5, 0.46)], second, 0.16)
    f.area([(0.36, 0.4), (0.86, -0.46), (1.08, -0.38), (0.66, 0.5)], darker(main, 0.15))
    f.oval(0, 0.18, 0.68, 0.6, main)
    f.oval(0, -0.4, 0.4, 0.13, second)
    f.dot(0, -0.6, 0.14, second)
    f.box(-0.42, 0.68, 0.42, 0.82, darker(main, 0.3))


def cartoon(f: Figure, rng, colours) -> None:
    """A round face with big eyes, outlined like a drawing."""
    main, second = colours[:2]
    f.blob([(-0.26, -0.6), (0, -1.12), (0.26, -0.6)], BLACK)
    f.oval(0, 0.06, 0.86, 0.86, BLACK)
    f.oval(0, 0.06, 0.74, 0.74, main)
    for side in (-1, 1):
        f.oval(side * 0.29, -0.16, 0.24, 0.3, WHITE)
        f.dot(side * 0.24, -0.1, 0.12, BLACK)
    f.area(ellipse(0, 0.44, 0.34, 0.2), BLACK)
    f.area(ellipse(0, 0.5, 0.2, 0.1), second)
