"""Medical sets: parts of pictures of eight kinds, and parts of radiographs with and without an opacity."""

import numpy as np
from PIL import Image

from cones.miniature import brain, cells, dermoscopy, endoscopy, histology, radiograph, tomography, ultrasound
from cones.miniature.classification.pages import SIDE, labelled, turn
from cones.miniature.painter import Painted, Painter

KINDS: dict[str, tuple[Painter, list[str]]] = {  # class -> (painter, the classes that it paints)
    "brain MRI": (brain.paint_slice, ["hippocampus"]),
    "blood smear": (cells.paint, ["Platelets", "RBC", "WBC"]),
    "chest CT": (tomography.paint, ["nodule"]),
    "chest x-ray": (radiograph.paint, ["tuberculosis"]),
    "dermoscopy": (dermoscopy.paint, ["skin lesion", "melanoma"]),
    "endoscopy": (endoscopy.paint, ["polyp"]),
    "histology": (histology.paint, ["nucleus"]),
    "ultrasound": (ultrasound.paint, ["nodule"]),
}
PARTS = (0.35, 0.6)  # of the shorter side
HEALTHY, OPACITY = "healthy lung", "lung opacity"
VIEW = (60, 84)  # pixels of a film that one view shows
TRIES = 200


def kinds(rng: np.random.Generator, classes: list[str], index: int) -> Painted:
    """A square part of a picture, near the middle, in grey: else stains and skin alone would tell most kinds."""
    name, words = turn(classes, index)
    painter, found = KINDS[words]
    picture = painter(rng, found, int(rng.integers(1000))).image
    part = round(min(picture.size) * rng.uniform(*PARTS))
    x, y = (round((side - part) * rng.uniform(0.2, 0.8)) for side in picture.size)
    view = picture.crop((x, y, x + part, y + part)).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return labelled(view.convert("L").convert("RGB"), name)


def opacities(rng: np.random.Generator, classes: list[str], index: int) -> Painted:
    """A view into a lung: with the middle of an opacity in it, or with no part of any; found in the same places."""
    name, words = turn(classes, index)
    while True:
        film = radiograph.paint(rng, [OPACITY], int(rng.integers(1000)))
        for _ in range(TRIES):
            part = int(rng.integers(VIEW[0], VIEW[1] + 1))
            x = radiograph.SIDE * (0.5 + rng.choice((-1, 1)) * rng.uniform(0.18, 0.27))
            y = radiograph.SIDE * rng.uniform(0.26, 0.62)
            view = (round(x - part / 2), round(y - part / 2), round(x + part / 2), round(y + part / 2))
            if shows(view, film, words):
                picture = film.image.crop(view).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
                return labelled(picture, name)


def shows(view: tuple[int, int, int, int], film: Painted, words: str) -> bool:
    """Whether a view (left, top, right, bottom) of a film is one of class `words`."""
    left, top, right, bottom = view
    boxes = [one.box for one in film.objects]
    if words == HEALTHY:
        return all(a >= right or c <= left or b >= bottom or d <= top for a, b, c, d in boxes)
    return any(left < (a + c) / 2 < right and top < (b + d) / 2 < bottom for a, b, c, d in boxes)


PAINTERS: dict[str, Painter] = {"nano_modality": kinds, "nano_radiograph": opacities}
