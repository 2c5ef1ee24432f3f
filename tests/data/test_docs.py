"""Every example of docs/datasets.md is fetched and prepared, on a folder of the kind it describes."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from cones.data.download import fetch
from cones.data.prepare import prepare
from cones.data.registry import load_registry
from cones.experiment.cell import Plan
from tests.data import exports
from tests.data.labelled_pictures import class_tree
from tests.data.made_up import OBJECT, XML, jpeg, write_tree
from tests.data.own import SPLITS, noise
from tests.data.test_others_masks import png
from tests.data.volumes import scan, write_labels_of_series, write_nifti, write_series

DOCS = Path("docs/datasets.md").read_text(encoding="utf-8")
BLOCKS = [yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL) if "…" not in text]
ENTRIES = {name: block for block in BLOCKS for name in block if name.startswith("my_")}
BOXES = (("red cell", (2.0, 3.0, 10.0, 8.0)), ("white", (1.0, 1.0, 5.0, 6.0)))
TRUTH = tuple(
    exports.Item(name=f"{n}", split=split, size=(24, 16), objects=BOXES, number=n)
    for n, split in enumerate(("train", "train", "val", "test"))
)


def files_of(kind: str) -> dict[str, bytes]:
    if kind == "my_cells":
        files = {}
        for n in range(6):
            xml = XML.format(name=n, width=40, height=30, objects=OBJECT.format("white cell", 1, 1, 9, 9))
            files |= {f"Annotations/{n}.xml": xml.encode(), f"JPEGImages/{n}.jpg": jpeg()}
        return files
    if kind == "my_coco":
        files = {}
        for name, content in exports.coco(TRUTH, {"no sizes"}).files.items():
            split, base = name.split("/")
            is_label = base == "labels.json"
            files[f"annotations/instances_{split}.json" if is_label else f"images/{split}/{base}"] = content
        return files
    if kind == "my_table":
        items = [exports.Item(f"patient{n // 2}_{n % 2}", "all", (24, 16), BOXES, n) for n in range(12)]
        return exports.csv_boxes(items, set()).files
    if kind == "my_masks":
        labels = np.zeros((30, 40), np.uint8)
        labels[2:9, 3:12], labels[12:20, 20:30], labels[0, 0] = 1, 2, 255
        pictures = {f"images/{n}.png": noise(n) for n in range(6)}
        return pictures | {f"masks/{n}.png": png(Image.fromarray(labels)) for n in range(6)}
    if kind == "my_streets":
        numbers = np.tile(np.array([0, 1, 2, 3], np.uint8), (30, 10))
        pictures = {f"images/{n}.png": noise(n) for n in range(8)}
        return pictures | {f"maps/{n}.png": png(Image.fromarray(numbers)) for n in range(8)}
    if kind == "my_plants":
        return class_tree((2, 1, 1), classes=("sp_14", "red_moss"))
    write, quirks = {
        "my_yolo": (exports.yolo, {"paths with .."}),
        "my_voc": (exports.voc, {"one folder"}),
        "my_labelme": (exports.labelme, {"polygons"}),
        "my_cvat": (exports.cvat, {"a quarter turn"}),
    }[kind]
    return write(TRUTH, quirks).files


def write_scans(kind: str, folder: Path) -> None:
    pytest.importorskip({"my_nifti": "nibabel", "my_dicom": "SimpleITK"}[kind])
    for n in range(6):
        values, labels = scan(n)
        if kind == "my_nifti":
            write_nifti(folder / f"imagesTr/patient{n}_0000.nii.gz", values)
            write_nifti(folder / f"labelsTr/patient{n}.nii.gz", labels)
        else:
            write_series(folder / f"series/{'abcdef'[n]}/ct", values, f"P{n}")
            write_labels_of_series(folder / f"labels/{'abcdef'[n]}/ct.nii.gz", labels)


@pytest.mark.parametrize("kind", ENTRIES)
def test_the_example_of_a_format_is_whole_and_works(tmp_path, kind):
    folder = tmp_path / "files"
    if kind in ("my_nifti", "my_dicom"):
        write_scans(kind, folder)
    else:
        write_tree(folder, files_of(kind))
    ENTRIES[kind][kind]["sources"]["official"]["folder"] = str(folder)
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(ENTRIES[kind]), encoding="utf-8")
    dataset = load_registry(tmp_path / "mine.yaml")[kind]
    fetch(dataset, "official", tmp_path / "data")
    manifest = prepare(dataset, "official", tmp_path / "data", selects_on_validation=True)
    kinds = ("images",) if kind in ("my_plants", "my_streets") else ("images", "boxes")
    assert all(manifest["splits"][split][count] for split in SPLITS for count in kinds)


def test_every_format_that_people_have_has_an_example():
    named = {entry[name]["sources"]["official"]["format"]["name"] for name, entry in ENTRIES.items()}
    boxes = {"voc", "coco", "yolo", "labelme", "cvat", "csv_boxes", "masks", "nifti", "dicom"}
    assert named == boxes | {"class_folders", "class_maps"}


def test_the_suite_beside_the_example_is_a_plan(tmp_path, monkeypatch):
    """It tunes the nano model that ships, pretrained: from random weights a small set ends at 0 for every method."""
    (suite,) = (block for block in BLOCKS if "suite" in block)
    write_tree(tmp_path, {path.as_posix(): path.read_bytes() for path in Path("config").rglob("*.yaml")})
    (tmp_path / "datasets.yaml").write_bytes(Path("datasets.yaml").read_bytes())
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"my_cells": ENTRIES["my_cells"]["my_cells"]}), encoding="utf-8")
    (tmp_path / "config/mine.yaml").write_text(yaml.safe_dump(suite), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    plan = Plan.load("mine")
    cells = {(cell.model, cell.dataset, cell.arm) for cell in plan.all_cells()}
    assert cells == {("glip_nano", "my_cells", arm) for arm in ("zero_shot", "prompt_tuning", "cones")}
    assert all(plan.suite.models[cell.model].initial_seed is None for cell in plan.all_cells())


def test_the_lines_for_archives_fit_into_an_entry(tmp_path):
    (lines,) = re.findall(r"```yaml\n( +archives:.*?)```", DOCS, re.DOTALL)
    source = yaml.safe_load(lines.replace("…", "a" * 64))
    entry = yaml.safe_load(yaml.safe_dump(ENTRIES["my_voc"]))
    official = entry["my_voc"]["sources"]["official"]
    del official["folder"]
    official |= source
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(entry), encoding="utf-8")
    assert load_registry(tmp_path / "mine.yaml")["my_voc"].source("official").expected.images.test == 25
