"""Scenes of several things, for several classes a picture, and sentences that name such things."""

from itertools import combinations

import numpy as np
from PIL import Image

from cones.data.registry import Dataset, Source
from cones.miniature import backgrounds as at
from cones.miniature import odinw
from cones.miniature.classification.pages import SIDE
from cones.miniature.layouts import Page
from cones.miniature.painter import Drawn, Painted, Painter, generator_of
from cones.miniature.scenes import Setting, painter

LARGE = 160  # the side on which scenes are painted: their details have sizes in pixels
SCENE = painter(
    Setting((at.meadow, at.street, at.studio, at.room), (1, 4), unit=34, width=(LARGE, LARGE), height=(LARGE, LARGE))
)
ALONE, TOGETHER = (
    ("a photo of a {}.", "there is a {} in the picture.", "a {} in the street.", "a small {} on the grass."),
    ("a {} and a {}.", "a photo of a {} and a {}.", "a {} by a {}.", "there is a {} by the {} in the picture."),
)
WITHOUT_A_CLASS = ("a photo of the street.", "the grass in the garden.")


def paint(rng: np.random.Generator, classes: list[str], index: int) -> Painted:
    """One to four things, the first of class `index mod K`, with their boxes."""
    large = SCENE(rng, classes, index)
    shown = [Drawn(one.class_name, small_box(one.box)) for one in large.objects if one.mask.any()]
    return Painted(large.image.resize((SIDE, SIDE), Image.Resampling.BICUBIC), shown)


def small_box(box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """A box of the large picture in the small one, of a pixel at least."""
    left, top, right, bottom = (round(value * SIDE / LARGE) for value in box)
    return left, top, max(right, left + 1), max(bottom, top + 1)


def captions(classes: list[str]) -> list[str]:
    """Sentences about things that no picture goes with: each class alone, each pair in one way, and some of none."""
    rng, said = generator_of("captions of scenes"), [name.replace("_", " ") for name in classes]
    alone = [template.format(name) for name in said for template in ALONE]
    together = []
    for pair in combinations(said, 2):
        template = TOGETHER[int(rng.integers(len(TOGETHER)))]
        together.append(template.format(*rng.permutation(pair)))
    return [*alone, *together, *WITHOUT_A_CLASS]


def layout(dataset: Dataset, source: Source, pages: list[Page]) -> dict[str, bytes]:
    """A COCO annotation file for each split, and the sentences beside them."""
    text = "".join(f"{line}\n" for line in captions(dataset.classes))
    return {**odinw.layout(dataset, source, pages), source.captions: text.encode()}


PAINTERS: dict[str, Painter] = {"nano_scenes": paint}
