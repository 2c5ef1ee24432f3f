"""`datasets show`: of a prepared set pictures, boxes per class and split, sizes and what was changed; else the cure."""

import shlex
from pathlib import Path

from typer.testing import CliRunner

from cones.cli.main import app
from cones.data.statistics import statistics
from tests.data.own import COCO, coco_json, coco_tree, noise, prepared

ROOT = Path(__file__).resolve().parents[2]


def sized_tree():
    """Pictures of two sizes; the areas on both edges of COCO's medium boxes, and beside them."""
    boxes = [(1, 1, [0, 0, 32, 31]), (1, 2, [0, 0, 32, 32]), (1, 1, [0, 0, 96, 96]), (1, 2, [0, 0, 96, 97])]
    big = {"id": 1, "file_name": "big.png", "width": 120, "height": 100}
    files = coco_tree(counts=(2, 1, 1))
    return files | {"train/labels.json": coco_json([big, "train_0.png"], boxes), "train/big.png": noise(9, 120, 100)}


def shown(*words):
    result = CliRunner().invoke(app, ["datasets", "show", *words])
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


def test_statistics_of_pictures_and_boxes(tmp_path):
    files = {name: content for name, content in sized_tree().items() if name != "train/train_1.png"}
    result = prepared(tmp_path, files, format=COCO)
    found = statistics(result.folder, result.manifest)
    assert found.images == {"train": 2, "val": 1, "test": 1} and found.boxes == {"train": 4, "val": 1, "test": 1}
    assert found.per_class == {"red": {"train": 2, "val": 1, "test": 1}, "white": {"train": 2, "val": 0, "test": 0}}
    assert found.sides == {"width": (40, 40, 120), "height": (30, 30, 100)}
    assert found.areas == {"small": 1 + 2, "medium": 2, "large": 1}


def test_splits_of_the_same_pictures_count_once(tmp_path):
    same = {"rule": "as_shipped", "shipped": {"train": "train", "val": "val", "test": "val"}}
    files = {name: content for name, content in coco_tree().items() if not name.startswith("test")}
    result = prepared(tmp_path, files, format={**COCO, "folders": ["train", "val"]}, split=same)
    found = statistics(result.folder, result.manifest)
    assert found.boxes == {"train": 3, "val": 1, "test": 1} and sum(found.areas.values()) == 4


def test_a_prepared_set_is_shown_with_what_came_out(tmp_path, monkeypatch):
    boxes = ((2, 3, 10, 12), (35, 20, 10, 20))
    prepared(tmp_path, coco_tree(boxes=boxes), format=COCO, exclude=["train/train_0"])
    monkeypatch.chdir(tmp_path)
    (tmp_path / "datasets.yaml").symlink_to(ROOT / "datasets.yaml")
    text = shown("my_cells", "--registry", "mine.yaml")
    for part in (
        "prepared train val test pictures 2 1 1 red 4 2 2 white 0 0 0 boxes 4 2 2",
        "pictures, smallest / median / largest in pixels: width 40 / 40 / 40, height 30 / 30 / 30",
        "boxes by area: 8 small, 0 medium, 0 large",
        "4 boxes clipped to their pictures (test_0.png, train_1.png, train_2.png …)",
        "1 item excluded (train/train_0)",
    ):
        assert part in text
    assert "prepare it" not in text


def test_another_one_with_the_command_that_prepares_it(tmp_path, monkeypatch):
    prepared(tmp_path, coco_tree(), format=COCO)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "datasets.yaml").symlink_to(ROOT / "datasets.yaml")
    (tmp_path / "config").symlink_to(ROOT / "config")
    text = shown("my_cells", "--registry", "mine.yaml", "--data-dir", "new")
    assert "state placed (official)" in text
    for command in text.partition("prepare it ")[2].split(" && "):
        words = shlex.split(command)
        assert words[:3] == ["python", "-m", "cones"]
        result = CliRunner().invoke(app, words[3:])
        assert result.exit_code == 0, result.output
    assert "prepared train val test" in shown("my_cells", "--registry", "mine.yaml", "--data-dir", "new")
