"""A tiny drawn set of pictures with class maps, and what a suite needs to answer them pixel by pixel."""

from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from cones.miniature.painter import generator_of
from tests.tiny_sets import write_tiny

CLASSES = ["white wall", "red disc", "blue box"]
COUNTS = {"train": 6, "val": 2, "test": 4}
EDGE = 0  # unlabelled; classes count from 1
ARMS = {
    "zero_shot": None,
    "maskclip": None,
    "denseclip": {"recipe": {"epochs": 2, "options": {"width": 32, "head_width": 16}}},
    "zs_linear_probe": {"recipe": {"epochs": 8, "learning_rate": 0.5}},
    "taskres": None,
}

GRID_ARMS = ["zero_shot", "zs_linear_probe", "taskres"]


def draw_maps(folder: Path) -> None:
    """Pictures of 60 x 48 px in `<folder>/images/<split>/` and their maps in `<folder>/maps/<split>/`."""
    for split, count in COUNTS.items():
        for kind in ("images", "maps"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            random = generator_of(f"maps:{split}:{number}")
            picture, found = np.full((48, 60, 3), 255, np.uint8), np.ones((48, 60), np.uint8)
            rows, columns = np.mgrid[:48, :60]
            x, y = int(random.integers(12, 20)), int(random.integers(12, 36))
            disc = (rows - y) ** 2 + (columns - x) ** 2 < 100
            left, top = int(random.integers(32, 40)), int(random.integers(2, 24))
            box = (abs(rows - top - 10) < 10) & (abs(columns - left - 8) < 8)
            for label, colour, inside in ((2, (220, 30, 30), disc), (3, (30, 30, 220), box)):
                picture[inside], found[inside] = colour, label
            found[0] = EDGE
            Image.fromarray(picture).save(folder / f"images/{split}/{number}.png")
            Image.fromarray(found).save(folder / f"maps/{split}/{number}.png")


def entry(folder: str) -> dict:
    """The registry entry of the set that `draw_maps` drew."""
    folders = [{"images": f"images/{split}", "masks": f"maps/{split}", "split": split} for split in COUNTS]
    source = {
        "folder": folder,
        "format": {"name": "class_maps", "folders": folders, "first": 1, "unlabelled": [EDGE]},
        "split": {"rule": "as_shipped", "shipped": {split: split for split in COUNTS}},
    }
    known = {"paper_name": "walls", "group": "natural", "task": "dense", "classes": CLASSES}
    return known | {"home": "nowhere", "licence": "made here", "access": "open", "sources": {"official": source}}


def write_tiny_maps(folder: Path, **classification) -> None:
    """The suite `tiny` with the set `walls` and a grid of dense cells beside its own sets."""
    grids = {"survey_dense": {"setting": "dense", "shots": [4], "seeds": [1], "arms": GRID_ARMS}}
    given = {"arms": ARMS, "datasets": ["shapes", "walls"], "grids": grids}
    given |= {"models": {"clip_nano": {"initial_seed": 0, "dense_side": 72}}}
    write_tiny(folder, **{**given, **classification})
    draw_maps(folder / "own/walls")
    file = folder / "config/tiny_sets.yaml"
    sets = yaml.safe_load(file.read_text()) | {"walls": entry("own/walls")}
    file.write_text(yaml.safe_dump(sets, sort_keys=False))
