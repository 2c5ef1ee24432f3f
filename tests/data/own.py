"""Folders of one's own, made by a test: pictures that differ, annotations, a registry entry, and what comes out."""

import io
import json
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from cones.data.download import fetch
from cones.data.prepare import prepare
from cones.data.registry import load_registry
from tests.data.made_up import write_tree

SPLITS = ("train", "val", "test")


def noise(seed: int, width: int = 40, height: int = 30, kind: str = "PNG", orientation: int | None = None) -> bytes:
    """A picture like no other: content, not names, says whether two pictures are the same."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return encoded(pixels, kind, orientation)


def encoded(pixels: np.ndarray, kind: str = "PNG", orientation: int | None = None) -> bytes:
    buffer, options = io.BytesIO(), {}
    if orientation:
        options["exif"] = Image.Exif()
        options["exif"][0x0112] = orientation
    if kind == "JPEG":
        options |= {"quality": 100, "subsampling": 0}
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def coco_json(images, annotations=(), classes=("red", "white"), **changes) -> bytes:
    """`images`: file names, or entries; `annotations`: (image id, category id, box), or entries. Ids start at 1."""
    listed = [
        one if isinstance(one, dict) else {"id": number, "file_name": one, "width": 40, "height": 30}
        for number, one in enumerate(images, start=1)
    ]
    boxes = [
        one if isinstance(one, dict) else dict(zip(("id", "image_id", "category_id", "bbox"), (number, *one)))
        for number, one in enumerate(annotations, start=1)
    ]
    categories = [{"id": number, "name": name} for number, name in enumerate(classes, start=1)]
    return json.dumps({"images": listed, "annotations": boxes, "categories": categories, **changes}).encode()


def coco_tree(boxes=((2, 3, 10, 12),), counts=(3, 1, 1), **changes) -> dict[str, bytes]:
    """Three split folders of Roboflow's kind; every picture has the `boxes`, all of class 1."""
    files, seed = {}, 0
    for split, count in zip(SPLITS, counts):
        names = [f"{split}_{number}.png" for number in range(count)]
        annotations = [(number, 1, list(box)) for number in range(1, count + 1) for box in boxes]
        files[f"{split}/labels.json"] = coco_json(names, annotations, **changes)
        for name in names:
            files[f"{split}/{name}"] = noise(seed := seed + 1)
    return files


COCO = {"name": "coco", "folders": list(SPLITS), "annotations": ["labels.json"]}
AS_SHIPPED = {"rule": "as_shipped", "shipped": {split: split for split in SPLITS}}
DIVIDED = {"rule": "test20_then_holdout80"}


def entry(folder: Path, *, format, split=AS_SHIPPED, classes=("red", "white"), task="detection", **source) -> dict:
    return {
        "paper_name": "My cells",
        "group": "non_radiology" if task == "detection" else "segmentation",
        "task": task,
        "classes": list(classes),
        "home": "https://example.org",
        "licence": "mine",
        "access": "open",
        "sources": {"official": {"folder": str(folder), "format": format, "split": split, **source}},
    }


class Prepared:
    """A prepared dataset: its manifest, its folder, and its boxes by picture."""

    def __init__(self, manifest: dict, folder: Path):
        self.manifest, self.folder = manifest, folder
        self.report = manifest["report"]

    def document(self, split: str) -> dict:
        return json.loads((self.folder / f"{split}.json").read_text())

    def items(self, split: str) -> list[str]:
        return json.loads((self.folder / "splits.json").read_text())[split]

    def objects(self) -> dict[str, list[tuple]]:
        """`{file name: [(class, box)]}` of all splits."""
        found = {}
        for split in SPLITS:
            content = self.document(split)
            names = {one["id"]: one["name"] for one in content["categories"]}
            for image in content["images"]:
                found[image["file_name"]] = [
                    (names[one["category_id"]], tuple(one["bbox"]))
                    for one in content["annotations"]
                    if one["image_id"] == image["id"]
                ]
        return found

    def counts(self) -> list[int]:
        return [self.manifest["splits"][split]["images"] for split in SPLITS]


def prepared(tmp_path: Path, files: dict[str, bytes], *, selects_on_validation: bool = False, **described) -> Prepared:
    """Lay `files` into a folder, describe it by an entry in `mine.yaml`, fetch and prepare it."""
    folder = write_tree(tmp_path / "cells", files)
    (tmp_path / "mine.yaml").write_text(
        yaml.safe_dump({"my_cells": entry(folder, **described)}, sort_keys=False), encoding="utf-8"
    )
    dataset = load_registry(tmp_path / "mine.yaml")["my_cells"]
    fetch(dataset, "official", tmp_path / "data")
    manifest = prepare(dataset, "official", tmp_path / "data", selects_on_validation=selects_on_validation)
    return Prepared(manifest, tmp_path / "data/official/my_cells")
