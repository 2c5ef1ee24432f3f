"""Scenes whose every pixel has a class: things in places, in the layout of ADE20K's scene parsing benchmark."""

import io

import numpy as np
from PIL import Image

from cones.data.registry import Dataset, Source
from cones.miniature import backgrounds as at
from cones.miniature.layouts import Page, jpeg
from cones.miniature.painter import Drawn, Painted
from cones.miniature.scenes import Setting, painter

PLACES = {
    "sea": (at.sea, ("boat", "bird")),
    "street": (at.street, ("bus", "car", "truck")),
    "house": (at.room, ("chair", "sofa")),
    "grass": (at.meadow, ("cow", "horse", "sheep")),
}
SETTING = Setting(
    tuple(background for background, _ in PLACES.values()),
    (2, 3),
    unit=30,
    width=(128, 160),
    height=(104, 128),
    themes=tuple(things for _, things in PLACES.values()),
)
FOLDERS = {"train": "training", "val": "validation", "test": "testing"}
UNLABELLED = 0  # at the edges of things, where a pixel shows both


def paint(rng: np.random.Generator, classes: list[str], index: int) -> Painted:
    """Things of world 0 in a place that takes turns; the first object is the place, its mask the whole picture."""
    painted = painter(SETTING)(rng, classes, index)
    wide, high = painted.image.size
    place = Drawn([*PLACES][index % len(PLACES)], (0, 0, wide, high), mask=np.ones((high, wide), bool))
    return Painted(painted.image, [place, *painted.objects])


def class_map(painted: Painted, classes: list[str]) -> np.ndarray:
    """(height, width) uint8: 1 for the first class; pixels whose right or lower neighbour is of another are none."""
    found = np.zeros(painted.image.size[::-1], np.uint8)
    for one in painted.objects:
        found[one.mask] = 1 + classes.index(one.class_name)
    labelled = found.copy()
    labelled[:, :-1][found[:, :-1] != found[:, 1:]] = UNLABELLED
    labelled[:-1][found[:-1] != found[1:]] = UNLABELLED
    return labelled


def layout(dataset: Dataset, source: Source, pages: list[Page]) -> dict[str, bytes]:
    """`images/training/scene_00000001.jpg` and `annotations/training/scene_00000001.png` below one folder."""
    files, root = {}, source.format.parameters["root"]
    for page in pages:
        place = f"{FOLDERS[page.split]}/scene_{page.index + 1:08d}"
        files[f"{root}/images/{place}.jpg"] = jpeg(page)
        buffer = io.BytesIO()
        Image.fromarray(class_map(page.painted, dataset.classes)).save(buffer, "PNG")
        files[f"{root}/annotations/{place}.png"] = buffer.getvalue()
    return files


DRAWINGS = {"nano_scene_masks": (paint, layout)}
