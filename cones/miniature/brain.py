"""Brain MRI, T1 weighted: skull, folded cortex, white matter, dark ventricles, and the hippocampus on both sides."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from cones.miniature.canvas import noise, smooth
from cones.miniature.painter import Drawn, Painted
from cones.miniature.tissue import away, clouds, drawn, waves

WIDTH, HEIGHT, SLICES = 176, 192, 10


@dataclass(frozen=True)
class Stack(Painted):
    """The slices of one subject, front to back; `image` and `objects` are those of the middle one.

    A slice's objects are the left and the right hippocampus, in this order; the outermost slices have none.
    """

    slices: tuple[Painted, ...]


def paint(rng: np.random.Generator, classes: list[str], index: int) -> Stack:
    """SLICES coronal slices of WIDTH x HEIGHT of one head; all but the first and the last show a hippocampus."""
    head = _Head(rng)
    slices = tuple(head.slice(rng, classes[0], level) for level in range(SLICES))
    middle = slices[SLICES // 2]
    return Stack(middle.image, middle.objects, slices)


def paint_slice(rng: np.random.Generator, classes: list[str], index: int) -> Painted:
    """The middle slice of one head alone."""
    return _Head(rng).slice(rng, classes[0], SLICES // 2)


class _Head:
    """What the slices of one subject have in common."""

    def __init__(self, rng):
        self.middle = (WIDTH / 2 + rng.uniform(-4, 4), HEIGHT * rng.uniform(0.45, 0.48))
        self.radii = (WIDTH * rng.uniform(0.4, 0.43), HEIGHT * rng.uniform(0.37, 0.4))
        self.outline = waves(rng, 0.025, (2, 3, 4))
        self.tilt = rng.uniform(-0.05, 0.05)
        self.folds = clouds(rng, WIDTH, HEIGHT, 12, 2)
        self.shading = clouds(rng, WIDTH, HEIGHT, 2, 1)
        self.size = rng.uniform(0.85, 1.15)
        self.atrophy = rng.uniform(0, 1)
        self.gain = rng.uniform(0.85, 1.1)

    def slice(self, rng, class_name: str, level: int) -> Painted:
        depth = (level - (SLICES - 1) / 2) / (SLICES / 2)
        shrink = 1 - 0.1 * depth**2
        brain = away(
            WIDTH, HEIGHT, self.middle, tuple(shrink * r for r in self.radii), angle=self.tilt, outline=self.outline
        )
        grey = self._tissue(rng, brain, depth)
        objects: list[Drawn] = []
        if 0 < level < SLICES - 1:
            objects = [self._hippocampus(rng, grey, side, depth, class_name) for side in (-1, 1)]
        grey *= self.gain * (1 + 0.12 * self.shading)
        grey = np.hypot(grey + 5 * rng.standard_normal(grey.shape), 5 * rng.standard_normal(grey.shape))  # Rician
        picture = Image.fromarray(np.clip(grey, 0, 255).astype(np.uint8)).convert("RGB")
        return Painted(picture, objects)

    def _tissue(self, rng, brain: np.ndarray, depth: float) -> np.ndarray:
        scalp = np.exp(-(((brain - 1.2) / 0.045) ** 2))
        neck = away(WIDTH, HEIGHT, (self.middle[0], HEIGHT * 1.02), (WIDTH * 0.27, HEIGHT * 0.2))
        grey = 6 + 190 * scalp + 80 * (1 - smooth(0.8, 1.0, neck)) * (brain > 1.15)
        folds = self.folds + 0.12 * noise(rng, WIDTH, HEIGHT, 16)
        fold = np.abs(folds) + 0.5 * (1 - smooth(0.5, 0.86, brain))  # folds reach in from the surface only
        cortex = 186 - 66 * (1 - smooth(0.16, 0.3, np.minimum(fold, 2.4 * (1 - brain))))
        cortex -= 82 * (1 - smooth(0.02, 0.09 + 0.06 * self.atrophy, fold))
        inside = 1 - smooth(0.96, 1.0, brain)
        grey += inside * (cortex - grey)
        x, y = self.middle
        gap = np.exp(-(((np.mgrid[0:HEIGHT, 0:WIDTH][1] - x) / 1.6) ** 2)) * (np.mgrid[0:HEIGHT, 0:WIDTH][0] < y - 14)
        grey -= 95 * gap * inside
        for side in (-1, 1):
            thalamus = away(WIDTH, HEIGHT, (x + side * 15, y + 12), (13, 15), angle=side * 0.4)
            grey += (132 - grey) * (1 - smooth(0.8, 1.1, thalamus))
            centre = (x + side * (10 + 3 * self.atrophy), y - 9 + 3 * depth)
            ventricle = away(WIDTH, HEIGHT, centre, (5 + 5 * self.atrophy, 12), angle=side * 0.65)
            grey += (30 - grey) * (1 - smooth(0.82, 1.12, ventricle))
        third = away(WIDTH, HEIGHT, (x, y + 13), (2 + self.atrophy, 11))
        return grey + (30 - grey) * (1 - smooth(0.8, 1.2, third))

    def _hippocampus(self, rng, grey: np.ndarray, side: int, depth: float, class_name: str) -> Drawn:
        """A grey curl under a dark sliver of fluid, in white matter; painted into `grey`."""
        size = self.size * (1 - 0.42 * depth**2) * rng.uniform(0.93, 1.07) * (1 - 0.25 * self.atrophy)
        x, y = self.middle[0] + side * (35 + 3 * depth), self.middle[1] + 33 - 5 * depth
        bed = away(WIDTH, HEIGHT, (x, y), (22 * size, 15 * size), angle=side * 0.25)
        grey += (184 - grey) * (1 - smooth(0.75, 1.1, bed))
        horn = away(WIDTH, HEIGHT, (x + side * 3, y - 6.5 * size), (12 * size, 4 * size), angle=side * 0.3)
        grey += (28 - grey) * (1 - smooth(0.75, 1.1, horn))
        curl = [(2, 0.16, 2 * side), (3, 0.14, np.pi / 2 + side * 0.6)]
        shape = away(WIDTH, HEIGHT, (x, y), (12.5 * size, 6.8 * size), angle=side * 0.22, outline=curl)
        body = 122 + 12 * noise(rng, WIDTH, HEIGHT, 40)
        grey += (body - grey) * (1 - smooth(0.86, 1.06, shape))
        return drawn(class_name, shape < 0.97)
