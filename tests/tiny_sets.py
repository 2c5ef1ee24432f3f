"""Tiny drawn sets of labelled pictures in class folders, and a suite that classifies them from random weights."""

from pathlib import Path

import yaml
from PIL import Image, ImageDraw

from cones.miniature.painter import generator_of

CLASSES = {"red_disc": ("ellipse", "red"), "blue_box": ("rectangle", "blue"), "green_disc": ("ellipse", "green")}
COUNTS = {"train": 4, "val": 3, "test": 5}
ARMS = {"zero_shot": None, "cones": {"recipe": {"epochs": 3}}, "tip_adapter": None}


def draw_set(folder: Path, *, background: str = "white", classes=tuple(CLASSES), counts=COUNTS) -> None:
    """Pictures of 40 px in `<folder>/<split>/<class>/`, the same at every call."""
    for split, count in counts.items():
        for name in classes:
            shape, colour = CLASSES[name]
            (folder / split / name).mkdir(parents=True, exist_ok=True)
            for number in range(count):
                random = generator_of(f"{split}:{name}:{number}")
                x, y, size = (int(random.integers(*bounds)) for bounds in ((2, 18), (2, 18), (14, 20)))
                picture = Image.new("RGB", (40, 40), background)
                getattr(ImageDraw.Draw(picture), shape)((x, y, x + size, y + size), fill=colour)
                picture.save(folder / split / name / f"{number}.png")


def entry(folder: str, **changes) -> dict:
    """The registry entry of a set that `draw_set` drew."""
    source = {
        "folder": folder,
        "format": {"name": "class_folders", "folders": list(COUNTS)},
        "split": {"rule": "as_shipped", "shipped": {split: split for split in COUNTS}},
    }
    known = {"paper_name": folder, "group": "natural", "task": "classification", "template": "a drawing of a {}."}
    known |= {"home": "nowhere", "licence": "made here", "access": "open", "sources": {"official": source}}
    return known | changes


def tiny_suite(**classification) -> dict:
    """A suite `tiny` with the sets `shapes` and `dark_shapes`."""
    section = {
        "models": {"clip_nano": {"initial_seed": 0}},
        "datasets": ["shapes", "dark_shapes"],
        "seeds": [1, 2],
        "arms": ARMS,
        "grids": {
            "survey": {"datasets": ["shapes"], "shots": [2]},
            "survey_base_to_new": {
                "setting": "base_to_new",
                "datasets": ["shapes"],
                "shots": [2],
                "arms": ["zero_shot", "cones"],
            },
            "survey_shift": {"targets": {"shapes": ["dark_shapes"]}, "shots": [2], "arms": ["zero_shot"]},
            "survey_few_shot": {"datasets": ["shapes"], "shots": [1, 2], "arms": ["cones"], "on_request": True},
        },
    }
    return {
        "suite": "tiny",
        "title": "drawn shapes and random weights; the numbers mean nothing",
        "source": "official",
        "registry": ["config/tiny_sets.yaml"],
        "classification": section | classification,
    }


def write_tiny(folder: Path, **classification) -> None:
    """Sets, registry and suite in a working folder that has `datasets.yaml` and `config/`."""
    draw_set(folder / "own/shapes")
    draw_set(folder / "own/dark_shapes", background="black")
    (folder / "config").mkdir(exist_ok=True)
    sets = {"shapes": entry("own/shapes"), "dark_shapes": entry("own/dark_shapes")}
    (folder / "config/tiny_sets.yaml").write_text(yaml.safe_dump(sets))
    (folder / "config/tiny.yaml").write_text(yaml.safe_dump(tiny_suite(**classification), sort_keys=False))
