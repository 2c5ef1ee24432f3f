"""Data of your own: one YAML block that names a folder is enough, from fetch to splits."""

import io
import json

import pytest
import yaml
from PIL import Image

from cones.data.download import fetch
from cones.data.prepare import prepare
from cones.data.registry import load_registries
from cones.data.state import state
from cones.experiment.cell import Plan
from cones.runtime.errors import ConesError
from tests.data.made_up import jpeg, voc_files, write_tree
from tests.data.native import mask, picture

HEAD = """
my_cells:
  paper_name: My cells
  group: non_radiology
  task: detection
  classes: [red, white]
  home: https://example.org
  licence: mine
  access: open
  sources:
    official:
"""
VOC = """
      folder: {folder}
      format: {{name: voc, root: VOC}}
      split: {{rule: test20_then_holdout80}}
"""
COCO = """
      folder: {folder}
      format: {{name: coco, folders: [train, val, test], annotations: [labels.json]}}
      split: {{rule: as_shipped, shipped: {{train: train, val: val, test: test}}}}
"""

MASKS = """
      folder: {folder}
      format: {{name: masks, folders: [{{images: pictures, masks: masks}}]}}
      split: {{rule: test20_then_holdout80}}
"""


def mask_files():
    mask = Image.new("L", (40, 30))
    mask.paste(255, (5, 6, 15, 20))
    drawn = io.BytesIO()
    mask.save(drawn, "PNG")
    pictures = {f"pictures/{n}.jpg": jpeg() for n in range(5)}
    return pictures | {f"masks/{n}.png": drawn.getvalue() for n in range(5)}


def coco_files():
    files = {}
    for split, count in (("train", 6), ("val", 2), ("test", 1)):
        images = [{"id": n, "file_name": f"{n}.jpg", "width": 40, "height": 30} for n in range(count)]
        boxes = [{"id": n, "image_id": n, "category_id": n % 2, "bbox": [2, 3, 10, 12]} for n in range(count)]
        categories = [{"id": 0, "name": "red"}, {"id": 1, "name": "white"}]
        content = {"images": images, "annotations": boxes, "categories": categories}
        files |= {f"{split}/{n}.jpg": jpeg() for n in range(count)}
        files[f"{split}/labels.json"] = json.dumps(content).encode()
    return files


def entry(tmp_path, block):
    head = HEAD.replace("[red, white]", "[red]") if block is MASKS else HEAD
    (tmp_path / "mine.yaml").write_text(head + block.format(folder=tmp_path / "cells"))
    return load_registries([tmp_path / "mine.yaml"])["my_cells"]


@pytest.mark.parametrize(
    "files, block, counts",
    [
        (voc_files(), VOC, {"train": 6, "val": 2, "test": 2}),
        (coco_files(), COCO, {"train": 6, "val": 2, "test": 1}),
        (mask_files(), MASKS, {"train": 3, "val": 1, "test": 1}),
    ],
    ids=["voc", "coco", "masks"],
)
def test_a_folder_of_your_own_from_fetch_to_splits(tmp_path, files, block, counts):
    write_tree(tmp_path / "cells", files)
    dataset = entry(tmp_path, block)
    fetched = fetch(dataset, "official", tmp_path / "data")
    assert fetched["status"] == "ready" and fetched["tree"]["kind"] == "folder"
    manifest = prepare(dataset, "official", tmp_path / "data")
    assert {split: found["images"] for split, found in manifest["splits"].items()} == counts
    folder = tmp_path / "data/official/my_cells"
    for image in json.loads((folder / "train.json").read_text())["images"]:
        assert (folder / "raw" / image["file_name"]).is_file()


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(ConesError, match=r"dataset my_cells: .*/cells: the folder is not there.*correct `folder`"):
        fetch(entry(tmp_path, VOC), "official", tmp_path / "data")


def test_a_folder_may_be_named_by_the_environment(tmp_path, monkeypatch):
    write_tree(tmp_path / "cells", voc_files())
    dataset = entry(tmp_path, VOC.replace("{folder}", "${{MY_PICTURES}}/cells"))
    monkeypatch.delenv("MY_PICTURES", raising=False)
    assert state(dataset, "official", tmp_path / "data").word == "no folder"
    with pytest.raises(ConesError, match=r"\$\{MY_PICTURES\}/cells: the folder is not there.*set the variable it"):
        fetch(dataset, "official", tmp_path / "data")
    monkeypatch.setenv("MY_PICTURES", str(tmp_path))
    assert state(dataset, "official", tmp_path / "data").word == "placed"
    assert fetch(dataset, "official", tmp_path / "data")["status"] == "ready"


def test_a_mirror_does_not_hide_your_folder(tmp_path):
    write_tree(tmp_path / "cells", voc_files())
    assert fetch(entry(tmp_path, VOC), "official", tmp_path / "data", mirror=tmp_path)["status"] == "ready"


@pytest.mark.parametrize(
    "block, words",
    [
        (VOC + "      archives: [{{filename: a.zip}}]\n", "give either `archives` or `folder`"),
        (VOC.replace("folder: {folder}", "notes: []"), "unknown key"),
        (VOC.replace("test20_then_holdout80", "stable_cut"), "`expected` is missing"),
        (VOC.replace("folder: {folder}", "archives: [{{filename: a.zip}}]"), "`expected` is missing"),
    ],
)
def test_what_does_not_fit_together_is_one_line(tmp_path, block, words):
    with pytest.raises(ConesError, match=words) as caught:
        entry(tmp_path, block)
    assert "mine.yaml: my_cells" in str(caught.value)


def test_without_counts_something_must_be_left_to_train_on(tmp_path):
    write_tree(tmp_path / "cells", voc_files(count=1))
    dataset = entry(tmp_path, VOC)
    fetch(dataset, "official", tmp_path / "data")
    with pytest.raises(ConesError, match="nothing is left to train on; found train 0, val 1, test 0"):
        prepare(dataset, "official", tmp_path / "data")


# ------------------------------------------------------------------------------------------------- further registries


def test_a_suite_takes_datasets_from_a_further_registry(tmp_path):
    (tmp_path / "mine.yaml").write_text(HEAD + VOC.format(folder=tmp_path / "cells"))
    overrides = {"registry": [str(tmp_path / "mine.yaml")], "datasets": ["my_cells", "bccd"]}
    plan = Plan.load("bccd", overrides)
    assert plan.registry["my_cells"].paper_name == "My cells" and "bccd" in plan.registry
    with pytest.raises(ConesError, match=r'dataset "my_cell" is not in datasets.yaml or .*mine.yaml'):
        Plan.load("bccd", {**overrides, "datasets": ["my_cell"]})


def test_a_dataset_without_the_suites_source_is_one_line(tmp_path):
    (tmp_path / "mine.yaml").write_text(HEAD + VOC.format(folder=tmp_path / "cells"))
    with pytest.raises(ConesError, match=r'dataset my_cells: no source "miniature".*"?official'):
        Plan.load("miniature", {"registry": [str(tmp_path / "mine.yaml")], "datasets": ["my_cells"]})


def test_an_id_may_not_be_taken_twice(tmp_path):
    content = yaml.safe_load(HEAD + VOC.format(folder="cells"))
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump({"bccd": content["my_cells"]}))
    with pytest.raises(
        ConesError, match=r'mine.yaml: the id "bccd" is taken; found also in datasets.yaml; next: choose'
    ):
        load_registries([tmp_path / "mine.yaml"])


def test_foot_ulcers_any_beginning_of_the_set_becomes_splits_with_masks(tmp_path, monkeypatch):
    plan = Plan.load("fuseg")
    files = {}
    for split, stems in (("train", ("0011", "0012", "0013", "0014", "0015")), ("validation", ("0001", "0011"))):
        for stem in stems:
            files[f"{split}/images/{stem}.png"] = picture(kind="PNG")
            files[f"{split}/labels/{stem}.png"] = mask((5, 6, 15, 20), (30, 2, 36, 8), (0, 0, 2, 2))
    files["test/images/0018.png"] = picture(kind="PNG")  # has no label and is no part of it
    monkeypatch.setenv("CONES_FUSEG", str(write_tree(tmp_path / "given", files)))
    dataset = plan.registry["fuseg"]
    fetch(dataset, plan.suite.source, tmp_path / "data")
    manifest = prepare(dataset, plan.suite.source, tmp_path / "data")
    assert {name: found["images"] for name, found in manifest["splits"].items()} == {"train": 4, "val": 1, "test": 2}
    assert (manifest["group"], manifest["task"]) == ("segmentation", "instance_segmentation")
    test = json.loads((tmp_path / "data/official/fuseg/test.json").read_text())
    assert {image["file_name"].split("/")[0] for image in test["images"]} == {"validation"}
    assert [one["area"] for one in test["annotations"]] == [36, 140] * 2  # the speck is left out
    assert all(one["segmentation"]["size"] == [30, 40] for one in test["annotations"])
    assert {cell.arm for cell in plan.all_cells()} == {"zero_shot", "cones", "full_finetuning"}
