"""Stained blood under a microscope: red cells with pale centres, white cells with lobed nuclei, platelets."""

import numpy as np

from cones.miniature.canvas import Canvas, blob, mix, noise, smooth
from cones.miniature.painter import Drawn, Painted

WIDTH, HEIGHT = 192, 144
PLASM = (214, 200, 226), (184, 164, 210)


def paint(rng: np.random.Generator, classes: list[str], index: int) -> Painted:
    """One slide of WIDTH x HEIGHT with about ten red cells, mostly one white cell, and a few platelets."""
    tint = rng.uniform(-1, 1)
    canvas = Canvas(WIDTH, HEIGHT, (236 + 5 * tint, 226 - 3 * tint, 214 - 8 * tint))
    canvas.add_noise(rng, cells=4, strength=7)
    placed: list[tuple[float, float, float]] = []
    drawn: list[Drawn] = []
    plan = [("WBC", (1, 1, 1, 2, 0)[index % 5]), ("Platelets", 1 + index % 3), ("RBC", int(rng.integers(7, 14)))]
    radii = {"WBC": (18, 24), "Platelets": (4.2, 6), "RBC": (11, 14.5)}
    look = {"WBC": white_cell, "Platelets": platelet, "RBC": red_cell}
    spots = []
    for name, count in plan:
        for _ in range(count):
            radius = rng.uniform(*radii[name])
            if spot := _free_spot(rng, placed, radius, overlap=0.25 if name == "RBC" else 0.0):
                placed.append((*spot, radius))
                spots.append((name, *spot, radius))
    for name, x, y, radius in sorted(spots, key=lambda spot: spot[0] != "RBC"):  # red cells lie below
        patch = look[name](canvas, rng, x, y, radius)
        drawn.append(Drawn(name, canvas.clip(patch.box)))
    canvas.add_noise(rng, cells=0, strength=4)
    return Painted(canvas.image(), drawn)


def _free_spot(rng, placed, radius: float, *, overlap: float) -> tuple[float, float] | None:
    """A centre that keeps its distance; `overlap` is the share of the two radii that may cover each other."""
    inset = radius * 0.55
    for _ in range(40):
        x, y = rng.uniform(inset, WIDTH - inset), rng.uniform(inset, HEIGHT - inset)
        if all(np.hypot(x - a, y - b) > (radius + r) * (1 - overlap) for a, b, r in placed):
            return x, y
    return None


def _wobble(rng, strength: float) -> list[tuple[float, float]]:
    return [(rng.uniform(0, strength) / (k + 1), rng.uniform(0, 2 * np.pi)) for k in range(3)]


def red_cell(canvas, rng, x, y, radius):
    cell = blob(x, y, radius, radius * rng.uniform(0.86, 1), angle=rng.uniform(0, np.pi), wobble=_wobble(rng, 0.045))
    hue = rng.uniform(-1, 1)
    body = np.array([226 + 5 * hue, 158 + 9 * hue, 156 + 6 * hue], np.float32)
    pale = rng.uniform(0.45, 1)  # how far the centre is thinned out
    thickness = smooth(0.12, 0.66, cell.radius) * pale + 1 - pale
    colour = mix((250, 232, 226), body, thickness)
    colour = mix(colour, (198, 120, 126), 0.75 * smooth(0.74, 1.0, cell.radius))
    canvas.stain(cell.patch, colour)
    return cell.patch


def white_cell(canvas, rng, x, y, radius, *, lobes: int | None = None, plasm=PLASM, grain: float = 7):
    """`lobes` of its nucleus, 1 to 4 where that is left to chance; the colours of its plasm from the middle outwards,
    and how much its granules show."""
    cell = blob(x, y, radius, radius * rng.uniform(0.88, 1), angle=rng.uniform(0, np.pi), wobble=_wobble(rng, 0.06))
    side = cell.radius.shape[0]
    granules = noise(rng, side, side, 18)
    canvas.paint(cell.patch, mix(*plasm, smooth(0.3, 1.0, cell.radius)) + grain * granules[..., None], opacity=0.94)
    lobes, turn = lobes or int(rng.integers(1, 5)), rng.uniform(0, 2 * np.pi)
    for lobe in range(lobes):
        angle = turn + lobe * 2 * np.pi / lobes * rng.uniform(0.7, 1)
        away = 0 if lobes == 1 else radius * 0.36
        size = radius * (0.66 if lobes == 1 else rng.uniform(0.36, 0.46))
        nucleus = blob(
            x + away * np.cos(angle),
            y + away * np.sin(angle),
            size,
            size * rng.uniform(0.75, 0.95),
            angle=angle,
            wobble=_wobble(rng, 0.1),
        )
        chromatin = noise(rng, nucleus.radius.shape[0], nucleus.radius.shape[0], 9)
        colour = mix((84, 48, 132), (112, 74, 158), smooth(0.2, 1.0, nucleus.radius)) + 16 * chromatin[..., None]
        canvas.paint(nucleus.patch, colour)
    return cell.patch


def platelet(canvas, rng, x, y, radius):
    cell = blob(x, y, radius, radius * rng.uniform(0.7, 1), angle=rng.uniform(0, np.pi), wobble=_wobble(rng, 0.16))
    colour = mix((112, 66, 146), (178, 142, 196), smooth(0.15, 1.0, cell.radius))
    canvas.paint(cell.patch, colour + 12 * noise(rng, *cell.radius.shape, 6)[..., None])
    return cell.patch
