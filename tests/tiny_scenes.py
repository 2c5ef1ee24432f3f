"""A tiny drawn set whose pictures show one or two classes, in COCO's layout, with captions."""

from pathlib import Path

from PIL import Image, ImageDraw

from cones.miniature.painter import generator_of
from tests.data.own import coco_json
from tests.tiny_sets import CLASSES

NAMES = list(CLASSES)
COUNTS = {"train": 8, "val": 4, "test": 6}


def draw_scenes(folder: Path) -> None:
    """Two shapes side by side, of the same or of two classes, in COCO's layout, with captions."""
    for split, count in COUNTS.items():
        (folder / split).mkdir(parents=True)
        boxes = []
        for number in range(count):
            random = generator_of(f"{split}:{number}")
            picture = Image.new("RGB", (48, 24), tuple(random.integers(180, 256, 3).tolist()))
            for x, name in zip((2, 26), (NAMES[number % 3], NAMES[int(random.integers(3))])):
                shape, colour = CLASSES[name]
                getattr(ImageDraw.Draw(picture), shape)((x, 4, x + 15 + number, 20), fill=colour)
                boxes.append((number + 1, NAMES.index(name) + 1, [x, 4, 15, 16]))
            picture.save(folder / split / f"{number}.png")
        files = [{"id": one + 1, "file_name": f"{one}.png", "width": 48, "height": 24} for one in range(count)]
        (folder / split / "labels.json").write_bytes(coco_json(files, boxes, NAMES))
    (folder / "captions.txt").write_text("a red disc and a blue box\ngreen discs\nnothing at all\n")


def scenes_entry() -> dict:
    source = {
        "folder": "own/scenes",
        "format": {"name": "coco", "folders": list(COUNTS), "annotations": ["labels.json"]},
        "split": {"rule": "as_shipped", "shipped": {split: split for split in COUNTS}},
        "captions": "captions.txt",
    }
    known = {"paper_name": "scenes", "group": "natural", "task": "multi_label", "classes": NAMES}
    return known | {"home": "nowhere", "licence": "made here", "access": "open", "sources": {"official": source}}
