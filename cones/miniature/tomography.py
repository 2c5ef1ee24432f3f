"""Chest CT as volumes of Hounsfield units: body, lungs, vessels, ribs and spine, one or two round nodules."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from cones.miniature.canvas import noise, smooth
from cones.miniature.painter import Painted
from cones.miniature.tissue import away, clouds, drawn, spots, waves

SIDE, SLICES = 176, 10
SPACING = (1.7, 1.7, 2.5)  # mm along x, y, z
AIR, LUNG, SOFT, BONE = -1000, -860, 40, 420


@dataclass(frozen=True)
class Sphere:
    """A nodule: (x, y, z) of its centre in voxels, its diameter in mm."""

    centre: tuple[float, float, float]
    diameter: float


@dataclass(frozen=True)
class Scan(Painted):
    """A volume of Hounsfield units (z, y, x) int16 and its nodules; `image` and `objects` show the first one's slice.

    `flipped` scans are stored from right to left and from back to front: direction -1, -1, 1.
    """

    hounsfield: np.ndarray
    nodules: tuple[Sphere, ...]
    flipped: bool


def paint(rng: np.random.Generator, classes: list[str], index: int) -> Scan:
    """A scan of SLICES x SIDE x SIDE; every second one has two nodules, every fourth is stored flipped."""
    lungs, plane = _plane(rng)
    volume = np.repeat(plane[None], SLICES, axis=0)
    _vessels(rng, volume, lungs)
    sizes = [rng.uniform(15, 34) for _ in range(1 + (index % 2 == 0))]
    places = spots(rng, lungs < 0.82, [size / 2 / SPACING[0] for size in sizes], gap=1.6)
    nodules = [
        Sphere((x - 0.5, y - 0.5, float(rng.uniform(2, SLICES - 3))), size * 2 * SPACING[0]) for x, y, size in places
    ]
    for nodule in nodules:
        _nodule(rng, volume, nodule)
    volume += 24 * rng.standard_normal(volume.shape, dtype=np.float32)
    hounsfield = np.clip(volume, -1024, 1500).astype(np.int16)
    return _scan(hounsfield, nodules, classes[0], flipped=index % 4 == 3)


def _scan(hounsfield: np.ndarray, nodules: list[Sphere], class_name: str, *, flipped: bool) -> Scan:
    first = nodules[0]
    grey = np.clip((hounsfield[round(first.centre[2])].astype(np.float32) + 1000) / 1400, 0, 1) * 255
    x, y = first.centre[0] + 0.5, first.centre[1] + 0.5
    shape = away(SIDE, SIDE, (x, y), (first.diameter / 2 / SPACING[0],) * 2)
    picture = Image.fromarray(grey.astype(np.uint8)).convert("RGB")
    return Scan(picture, [drawn(class_name, shape < 1)], hounsfield, tuple(nodules), flipped)


def _plane(rng) -> tuple[np.ndarray, np.ndarray]:
    """(distance from the lungs' outline, Hounsfield units) of one axial plane, both (SIDE, SIDE)."""
    middle = SIDE / 2 + rng.uniform(-3, 3)
    body = away(SIDE, SIDE, (middle, SIDE * 0.52), (SIDE * 0.47, SIDE * 0.36), outline=waves(rng, 0.02, (2, 4)))
    plane = AIR + (1 - smooth(0.985, 1.0, body)) * (SOFT - 130 - AIR)  # skin and fat
    muscle = 1 - smooth(0.86, 0.92, body + 0.03 * clouds(rng, SIDE, SIDE, 8))
    plane += muscle * (130 + 14 * clouds(rng, SIDE, SIDE, 10))
    sides = []
    for sign in (-1, 1):
        centre = (middle + sign * SIDE * rng.uniform(0.21, 0.235), SIDE * rng.uniform(0.47, 0.5))
        radii = (SIDE * rng.uniform(0.155, 0.185), SIDE * rng.uniform(0.25, 0.29))
        bulge = [(3, 0.07, 0.0 if sign > 0 else np.pi), *waves(rng, 0.03)]
        sides.append(away(SIDE, SIDE, centre, radii, angle=sign * 0.16, outline=bulge))
    heart = away(SIDE, SIDE, (middle + SIDE * 0.045, SIDE * 0.41), (SIDE * 0.16, SIDE * 0.13), angle=0.5)
    lungs = np.maximum.reduce([np.minimum(*sides), 2 - heart, body * 1.24])
    inside = 1 - smooth(0.96, 1.02, lungs)
    rows = np.mgrid[0:SIDE, 0:SIDE][0] / SIDE
    air = LUNG + 70 * rows + 26 * clouds(rng, SIDE, SIDE, 16)  # the back is denser: the patient lies on it
    plane += inside * (air - plane)
    _bones(rng, plane, body, middle)
    return lungs, plane.astype(np.float32)


def _bones(rng, plane: np.ndarray, body: np.ndarray, middle: float) -> None:
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    angle = np.arctan2(rows - SIDE * 0.52, columns - middle)
    ring = np.exp(-(((body - 0.84) / 0.028) ** 2))
    plane += 380 * ring * smooth(0.35, 0.7, np.sin(angle * 11 + rng.uniform(0, 6)))  # ribs are cut aslant
    spine = away(SIDE, SIDE, (middle, SIDE * 0.735), (SIDE * 0.075, SIDE * 0.065), outline=waves(rng, 0.05))
    plane += (BONE * (0.62 + 0.38 * smooth(0.6, 0.9, spine)) - plane) * (1 - smooth(0.92, 1.05, spine))
    aorta = away(SIDE, SIDE, (middle + SIDE * 0.08, SIDE * 0.64), (SIDE * 0.042,) * 2)
    plane += (SOFT + 70 - plane) * (1 - smooth(0.9, 1.1, aorta))


def _vessels(rng, volume: np.ndarray, lungs: np.ndarray) -> None:
    """Thin bright branches: dots that wander from slice to slice, and some lying in the plane."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    for x, y, _ in spots(rng, lungs < 0.9, [1.0] * 34, gap=2.0):
        radius, drift = rng.uniform(0.8, 2.3), rng.normal(0, 1.1, 2)
        stretch, turn = rng.uniform(1, 3.4), rng.uniform(0, np.pi)
        reach = int(radius * stretch) + 14
        window = (slice(max(0, int(y) - reach), int(y) + reach), slice(max(0, int(x) - reach), int(x) + reach))
        for level in range(SLICES):
            dx = columns[window] - x - drift[0] * (level - SLICES / 2)
            dy = rows[window] - y - drift[1] * (level - SLICES / 2)
            u, v = dx * np.cos(turn) + dy * np.sin(turn), dy * np.cos(turn) - dx * np.sin(turn)
            share = np.exp(-((u / stretch) ** 2 + v**2) / radius**2)
            patch = volume[(level, *window)]
            patch += (-60 - patch) * share * (patch < -300)


def _nodule(rng, volume: np.ndarray, nodule: Sphere) -> None:
    levels, rows, columns = np.mgrid[0:SLICES, 0:SIDE, 0:SIDE].astype(np.float32)
    x, y, z = nodule.centre
    distance = np.sqrt(
        ((columns - x) * SPACING[0]) ** 2 + ((rows - y) * SPACING[1]) ** 2 + ((levels - z) * SPACING[2]) ** 2
    ) / (nodule.diameter / 2)
    spikes = 0.06 * noise(rng, SIDE, SIDE, 26)
    density = rng.uniform(-20, 70) + 40 * noise(rng, SIDE, SIDE, 20)
    volume += (density - volume) * (1 - smooth(0.86, 1.08, distance + spikes))
