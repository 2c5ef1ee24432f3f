"""What must hold before anything is tuned: something to test on, boxes, masks, no leaks, patients whole."""

import json

import pytest

from cones.runtime.errors import ConesError
from tests.data.made_up import cells_entry, voc_files
from tests.data.native import mask
from tests.data.own import AS_SHIPPED, COCO, DIVIDED, SPLITS, coco_json, coco_tree, encoded, noise, prepared

ALL = {"name": "coco", "files": {"all": "all/labels.json"}}


def undivided(count):
    names = [f"{n}.png" for n in range(count)]
    files = {f"all/{name}": noise(n) for n, name in enumerate(names)}
    return files | {"all/labels.json": coco_json(names, [(n, 1, [2, 3, 10, 12]) for n in range(1, count + 1)])}


@pytest.mark.parametrize("count, rule", [(4, "test20_then_holdout80"), (20, "holdout80")])
def test_without_test_pictures_nothing_is_tuned(tmp_path, count, rule):
    with pytest.raises(ConesError, match=r"nothing is left to test on; found train \d+, val \d, test 0; .*mine\.yaml"):
        prepared(tmp_path, undivided(count), format=ALL, split={"rule": rule})


def test_without_validation_the_last_weights_must_count(tmp_path):
    files = {name: content for name, content in coco_tree().items() if not name.startswith("val")}
    described = {
        "format": {**COCO, "folders": ["train", "test"]},
        "split": {"rule": "as_shipped", "shipped": {"train": "train", "test": "test"}},
    }
    with pytest.raises(ConesError, match=r"nothing is there to validate on.*`selection: last`"):
        prepared(tmp_path, files, **described, selects_on_validation=True)
    assert prepared(tmp_path, files, **described).counts() == [3, 0, 1]


def test_a_suites_prepare_asks_for_validation_where_a_cell_keeps_the_best_weights():
    from cones.experiment.cell import Plan
    from cones.steps.data import selects_on_validation

    assert selects_on_validation(Plan.load("bccd"), "bccd")
    assert not selects_on_validation(Plan.load("miniature"), "cityscapes")  # selection: last
    assert not selects_on_validation(Plan.load("bccd", {"arms": ["zero_shot"]}), "bccd")


def test_tuning_refuses_best_weights_without_validation():
    from cones.experiment.cell import Plan
    from cones.steps.tune import _require_validation

    plan, empty = Plan.load("bccd"), {"splits": {"val": {"boxes": 0}}}
    cells = {cell.arm: cell for cell in plan.all_cells()}
    with pytest.raises(ConesError, match=r"no validation picture has a box; next: set `selection: last`"):
        _require_validation(plan, cells["cones"], empty)
    _require_validation(plan, cells["zero_shot"], empty)  # nothing is chosen there
    _require_validation(plan, cells["cones"], {"splits": {"val": {"boxes": 1}}})


def test_pictures_without_a_single_box_are_refused(tmp_path):
    files = {f"images/{n}.png": noise(n) for n in range(6)} | {f"masks/{n}.png": mask() for n in range(6)}
    with pytest.raises(ConesError, match=r"no picture to train on has a box; .*threshold"):
        prepared(tmp_path, files, format={"name": "masks", "allow_empty": True}, split=DIVIDED, classes=["red"])


def test_masks_are_required_where_masks_are_scored(tmp_path):
    with pytest.raises(ConesError, match=r"annotation 1 has no segmentation.*`task: detection`"):
        prepared(tmp_path, coco_tree(), format=COCO, task="instance_segmentation")
    files = {f"images/{n}.png": noise(n) for n in range(6)} | {f"masks/{n}.png": mask((1, 1, 9, 9)) for n in range(6)}
    with pytest.raises(ConesError, match=r"an object has no mask.*`keep_masks: true`"):
        described = {"format": {"name": "masks"}, "split": DIVIDED, "classes": ["red"]}
        prepared(tmp_path / "masks", files, **described, task="instance_segmentation")


# -------------------------------------------------------------------------------------------------------------- leaks


def leaking(**changes):
    files = coco_tree(counts=(3, 2, 2), **changes)
    return files | {"test/test_1.png": files["train/train_2.png"]}


def test_the_same_picture_in_two_splits_is_refused_unless_it_is_meant(tmp_path, caplog):
    caplog.set_level("INFO")
    with pytest.raises(
        ConesError, match=r"1 pictures are in two splits \(train and test\); found train: train/train_2"
    ):
        prepared(tmp_path, leaking(), format=COCO)
    result = prepared(tmp_path, leaking(), format=COCO, allow_leaks=True)
    assert result.report["leaks"]["count"] == 1 and "1 picture in two splits" in caplog.records[-1].message


def test_the_same_pixels_in_another_file_are_the_same_picture(tmp_path):
    import io

    from PIL import Image

    files = coco_tree()
    again = io.BytesIO()
    Image.open(io.BytesIO(files["train/train_0.png"])).save(again, "BMP")
    with pytest.raises(ConesError, match="1 pictures are in two splits"):
        prepared(tmp_path, files | {"test/test_0.png": again.getvalue()}, format=COCO)


def test_three_annotation_files_over_the_same_pictures_are_refused(tmp_path):
    files = undivided(3)
    form = {"name": "coco", "files": dict.fromkeys(SPLITS, "all/labels.json")}
    with pytest.raises(ConesError, match=r"3 pictures are in two splits \(.*train and test.*\)"):
        prepared(tmp_path, files, format=form)


def test_splits_that_are_declared_the_same_are_said_not_refused(tmp_path, caplog):
    caplog.set_level("INFO")
    same = {"rule": "as_shipped", "shipped": {"train": "train", "val": "val", "test": "val"}}
    files = {name: content for name, content in coco_tree().items() if not name.startswith("test")}
    result = prepared(tmp_path, files, format={**COCO, "folders": ["train", "val"]}, split=same)
    assert result.manifest["same_splits"] == {"test": "val"} and result.report["leaks"]["count"] == 0
    assert "test and val are the same pictures" in caplog.records[-1].message


def test_pictures_of_one_value_are_no_leak(tmp_path):
    import numpy as np

    black = encoded(np.zeros((30, 40, 3), np.uint8))
    result = prepared(tmp_path, coco_tree() | {"train/train_0.png": black, "test/test_0.png": black}, format=COCO)
    assert result.report["leaks"]["count"] == 0


def test_the_registrys_own_splits_are_counted_not_refused(tmp_path):
    from cones.data.download import fetch
    from cones.data.prepare import prepare
    from tests.data.made_up import write_tree

    files = {name: noise(1) if name.endswith(".jpg") else content for name, content in voc_files().items()}
    write_tree(tmp_path / "mirror" / "cells", files)
    fetch(cells_entry(), "official", tmp_path / "data", mirror=tmp_path / "mirror")
    report = prepare(cells_entry(), "official", tmp_path / "data")["report"]
    assert report["leaks"]["count"] == 1 and len(report["leaks"]["examples"][0]) == 10


# ----------------------------------------------------------------------------------------------------------- patients


def slices(patients=10, each=6):
    names = [f"patient{p}_{z}" for p in range(patients) for z in range(each)]
    files = {f"images/{name}.png": noise(n) for n, name in enumerate(names)}
    return files | {f"masks/{name}.png": mask((5, 6, 15, 20)) for name in names}


MASKS = {"format": {"name": "masks"}, "classes": ["red"]}
PATIENT = "^(patient[0-9]+)_"


def splits_of_patients(result):
    return {split: {item.split("_")[0] for item in result.items(split)} for split in SPLITS}


def torn(result):
    found = splits_of_patients(result)
    return (found["train"] & found["val"]) | (found["train"] & found["test"]) | (found["val"] & found["test"])


def test_a_group_rule_without_groups_is_refused_with_the_key(tmp_path):
    counts = {"images": {"train": 40, "val": 10, "test": 10}}
    with pytest.raises(
        ConesError, match=r"group_fill keeps groups together, and nothing says what a group is.*patients"
    ):
        prepared(tmp_path, slices(), **MASKS, split={"rule": "group_fill"}, expected=counts)


@pytest.mark.parametrize("seen", ["expression", "column"])
def test_patients_stay_whole_with_the_rules_that_know_no_counts(tmp_path, seen):
    rows = [f"patient{p}_{z}.png,P{p}" for p in range(10) for z in range(6)]
    files = slices() | {"who.csv": "\n".join(["picture;patient", *rows]).replace(",", ";").encode()}
    column = {"file": "who.csv", "item": "picture", "patient": "patient"}
    rule = {**DIVIDED, "patients": PATIENT if seen == "expression" else column}
    result = prepared(tmp_path, files, **MASKS, split=rule)
    assert not torn(result) and result.counts() == [36, 12, 12]
    assert result.report["groups"] == {"count": 10, "in_two_splits": 0, "examples": []}


def test_one_patient_cannot_be_divided(tmp_path):
    with pytest.raises(ConesError, match=r"left to train on; found train 0, val 6, test 0; patients: 1.*needs five"):
        prepared(tmp_path, slices(patients=1), **MASKS, split={**DIVIDED, "patients": PATIENT})


def test_without_patients_they_are_torn(tmp_path):
    assert torn(prepared(tmp_path, slices(), **MASKS, split=DIVIDED))  # so that the test above means something


def test_group_fill_takes_patients_too(tmp_path):
    counts = {"images": {"train": 36, "val": 12, "test": 12}}
    rule = {"rule": "group_fill", "patients": PATIENT}
    assert not torn(prepared(tmp_path, slices(), **MASKS, split=rule, expected=counts))


def test_an_item_that_does_not_say_whose_it_is(tmp_path):
    files = slices() | {"images/odd.png": noise(99), "masks/odd.png": mask((1, 1, 9, 9))}
    with pytest.raises(ConesError, match=r'the item "odd" does not say whose it is; expected something that matches'):
        prepared(tmp_path, files, **MASKS, split={**DIVIDED, "patients": PATIENT})


def test_a_patient_in_two_shipped_splits_is_refused_unless_leaks_are_allowed(tmp_path):
    files = {}
    for seed, (split, name) in enumerate((("train", "a_0"), ("train", "b_0"), ("val", "c_0"), ("test", "a_1"))):
        files[f"{split}/{name}.png"] = noise(seed)
    for split, names in {"train": ["a_0", "b_0"], "val": ["c_0"], "test": ["a_1"]}.items():
        boxes = [(n, 1, [2, 3, 10, 12]) for n in range(1, len(names) + 1)]
        files[f"{split}/labels.json"] = coco_json([f"{name}.png" for name in names], boxes)
    rule = {**AS_SHIPPED, "patients": "([a-z])_[0-9]$"}
    with pytest.raises(ConesError, match="1 of 3 patients are in two splits; found a in train and test"):
        prepared(tmp_path, files, format=COCO, split=rule)
    result = prepared(tmp_path, files, format=COCO, split=rule, allow_leaks=True)
    assert result.report["groups"]["in_two_splits"] == 1


@pytest.mark.parametrize(
    "rule, words",
    [
        ({"rule": "stable_cut", "patients": "(a)"}, "stable_cut may tear a patient"),
        ({**DIVIDED, "patients": "(a"}, "not a regular expression"),
        ({**DIVIDED, "patients": {"file": "../who.csv", "item": "a", "patient": "b"}}, "must be a relative path"),
    ],
)
def test_a_rule_for_patients_that_cannot_be(tmp_path, rule, words):
    with pytest.raises(ConesError, match=words):
        prepared(tmp_path, slices(), **MASKS, split=rule, expected={"images": {"train": 1, "val": 1}})


def test_the_last_lines_of_prepare_say_all_of_it(tmp_path, caplog):
    caplog.set_level("INFO")
    files = coco_tree(boxes=((2, 3, 10, 12), (35, 20, 10, 20), (5, 5, 0, 3)))
    prepared(tmp_path, files, format=COCO, exclude=["train/train_0"])
    names = "test_0.png, train_1.png, train_2.png …"
    assert [record.message for record in caplog.records[-4:]] == [
        "dataset my_cells: train 2, val 1, test 1 pictures, 8 boxes",
        f"dataset my_cells: 4 boxes dropped, which enclose nothing of their pictures ({names})",
        f"dataset my_cells: 4 boxes clipped to their pictures ({names})",
        "dataset my_cells: 1 item excluded (train/train_0)",
    ]
    assert json.loads((tmp_path / "data/official/my_cells/manifest.json").read_text())["version"] == 2
