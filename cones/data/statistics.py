"""Statistics of a prepared dataset: boxes per class and split, sizes of its pictures and boxes."""

from dataclasses import dataclass
from pathlib import Path
from statistics import median_low

from cones.data.registry import SPLITS
from cones.runtime.artifacts import read_json

SMALL, LARGE = 32**2, 96**2  # areas in pixels, COCO's: small is below the first, large above the second


@dataclass(frozen=True)
class Statistics:
    """Of all pictures and boxes of a dataset, each once, also where two splits are the same pictures.

    sides  {"width" or "height": (smallest, median, largest)} of the pictures, in pixels; empty without pictures
    areas  {"small", "medium", "large": number of boxes}, by the area that COCO's AP goes by: of the mask, or the box
    """

    images: dict[str, int]  # by split
    boxes: dict[str, int]  # by split
    per_class: dict[str, dict[str, int]]  # class -> split -> boxes
    sides: dict[str, tuple[int, int, int]]
    areas: dict[str, int]


def statistics(folder: Path, manifest: dict) -> Statistics:
    """The statistics of a prepared dataset, from its manifest and split files in `folder`."""
    splits = manifest["splits"]
    pictures, boxes = {}, {}
    for split in SPLITS:
        document = read_json(folder / splits[split]["file"])
        pictures |= {image["id"]: image for image in document["images"]}
        boxes |= {annotation["id"]: annotation["area"] for annotation in document["annotations"]}
    areas = {"small": 0, "medium": 0, "large": 0}
    for area in boxes.values():
        areas["small" if area < SMALL else "large" if area > LARGE else "medium"] += 1
    lengths = {side: sorted(picture[side] for picture in pictures.values()) for side in ("width", "height")}
    return Statistics(
        images={split: splits[split]["images"] for split in SPLITS},
        boxes={split: splits[split]["boxes"] for split in SPLITS},
        per_class={name: {split: splits[split]["per_class"][name] for split in SPLITS} for name in manifest["classes"]},
        sides={side: (values[0], median_low(values), values[-1]) for side, values in lengths.items() if values},
        areas=areas,
    )
