"""UPL on every family of detectors: which of its own boxes train, and that no given one does."""

import json

import pytest
import torch

from baselines.text_prompts.own_boxes import OPTIONS, surest_boxes
from cones.data.batches import Split
from cones.data.pyramids import LivePyramids
from cones.evaluation.prediction import predict
from cones.methods.method import TuningMethod
from cones.methods.prompts import FixedPrompt
from cones.models.checkpoints import build_detector
from cones.runtime.artifacts import read_json, sha256, write_json
from cones.runtime.errors import ConesError
from cones.runtime.processes import Processes
from cones.steps.evaluate import evaluate_cell
from cones.steps.tune import NOTHING_FOUND, state_file
from cones.training.pseudo_labels import counted, is_usable, pseudo_labelled
from cones.training.state import State
from tests.conftest import ROOT
from tests.gpu.on_device.cells import CLASSES, DATASET, SPLITS, tuned
from tests.methods.on_detectors import EVERYWHERE
from tests.methods.one_step import prompt_inputs_for
from tests.some_fast import fast
from tests.steps.painted_cells import MODELS, cell_of, plan_of

RATE = {"learning_rate": 1e-2}


# ------------------------------------------------------------------------------------------------ which boxes are taken


def result(image, category, score, x=0.0, side=10.0):
    return {"image_id": image, "category_id": category, "bbox": [x, 0.0, side, side], "score": score}


def taken(results, **other):
    return [results.index(one) for one in surest_boxes(results, **{**OPTIONS, **other})]


def test_of_each_predicted_class_the_surest_over_all_images_are_taken_in_order():
    results = [result(image, 1 + image % 2, image / 100, x=20 * image) for image in range(1, 60)]
    kept = taken(results, boxes_per_class=16)
    assert [results[number]["image_id"] for number in kept] == list(range(28, 60))
    assert taken(results[:5]) == [0, 1, 2, 3, 4], "fewer where a class is predicted less often"
    equal = [result(1, 1, 0.5, x=20 * number) for number in range(4)]
    assert taken(equal, boxes_per_class=2) == [0, 1], "of equal scores the first"


def test_an_object_counts_once_whatever_its_classes():
    surest = result(1, 1, 0.9)
    same_place, shifted, elsewhere, other_image = (
        result(1, 2, 0.8),
        result(1, 2, 0.7, x=6),
        result(1, 2, 0.6, x=30),
        result(2, 2, 0.5),
    )
    results = [other_image, same_place, shifted, elsewhere, surest]
    assert taken(results) == [0, 2, 3, 4]
    assert taken(results, overlap=0.1) == [0, 3, 4], "the shifted one overlaps by an IoU of a quarter"
    assert taken(results, least_score=0.65) == [2, 4]
    assert taken([]) == []


def test_a_box_that_nothing_can_be_trained_on_is_not_used():
    assert is_usable(result(1, 1, 0.5), masks=False) and not is_usable(result(1, 1, 0.5, side=1.0), masks=False)
    empty, some = ({"size": [2, 2], "counts": counts} for counts in ([4], [1, 2, 1]))
    assert not is_usable({**result(1, 1, 0.5), "segmentation": empty}, masks=True)
    assert is_usable({**result(1, 1, 0.5), "segmentation": some}, masks=True)


@EVERYWHERE
def test_it_trains_on_what_the_untuned_detector_says_of_the_class_names(model_name, data, caplog):
    torch.manual_seed(0)
    model, way, inputs = build_detector(model_name), TuningMethod.load("upl"), prompt_inputs_for(model_name, "upl")
    masks = model.predicts_masks
    given = Split(data, "train", preprocessing=model.preprocessing, inclusive=model.inclusive_boxes, masks=masks)
    before, pyramids = json.dumps(given.coco), LivePyramids(model, torch.device("cpu"))
    own = {"boxes_per_class": 2, "least_score": 0.0}
    inputs.settings = inputs.settings.model_copy(update={"options": own})
    with caplog.at_level("INFO"):
        split = pseudo_labelled(given, model, way, inputs, pyramids, Processes(), masks=masks)
        said = counted(split, [phrase.name for phrase in inputs.phrases])
    names = FixedPrompt(inputs.text_states)
    found = predict(model, names, given, pyramids, label="")
    expected = surest_boxes([one for one in found if is_usable(one, masks=masks)], **{**OPTIONS, **own})
    wanted = [(one["image_id"], one["category_id"], one["bbox"], one.get("segmentation")) for one in expected]
    annotations = split.coco["annotations"]
    assert [(a["image_id"], a["category_id"], a["bbox"], a.get("segmentation")) for a in annotations] == wanted
    assert split.has_masks == masks and json.dumps(given.coco) == before
    assert set(said["boxes"]) == {"fish", "car", "dog"} and sum(said["boxes"].values()) == len(wanted)
    assert max(said["boxes"].values()) <= 2
    missing = [name for name, count in said["boxes"].items() if not count]
    assert (f"for {len(missing)} classes: {', '.join(missing)}" in caplog.text) == bool(missing)


def test_masks_are_trained_on_where_the_data_set_has_them(data):
    torch.manual_seed(0)
    model, way = build_detector("uninext_nano"), TuningMethod.load("upl")
    given = Split(data, "train", preprocessing=model.preprocessing, inclusive=False, masks=True)
    pyramids, inputs = LivePyramids(model, torch.device("cpu")), prompt_inputs_for("uninext_nano", "upl")
    split = pseudo_labelled(given, model, way, inputs, pyramids, Processes(), masks=False)
    assert not split.has_masks and split.coco["annotations"]
    assert not any("segmentation" in annotation for annotation in split.coco["annotations"])


# ------------------------------------------------------------------------------------------------ no given box is used


def tuned_on(folder, model_name, arm, change, monkeypatch):
    """The record and the state of a cell whose given training boxes were changed beforehand."""
    folder.mkdir()
    monkeypatch.chdir(ROOT)
    arms = {"upl": RATE, "coop": RATE, "upl-none": {"method": "upl", **RATE, "options": {"least_score": 2.0}}}
    plan = plan_of(folder, model_name, arms)
    file = plan.data_folder(DATASET) / "train.json"
    coco = read_json(file)
    coco["annotations"] = change(coco["annotations"])
    write_json(file, coco)
    manifest = plan.manifest(DATASET)
    manifest["splits"]["train"] |= {"sha256": sha256(file), "boxes": len(coco["annotations"])}
    write_json(plan.data_folder(DATASET) / "manifest.json", manifest)
    cell = cell_of(plan, arm)
    record = tuned(plan, cell)
    return plan, cell, record, State.load(state_file(cell))


def as_given(annotations):
    return annotations


def removed(annotations):
    return []


def shuffled(annotations):
    """Classes and boxes of other objects, all without a mask."""
    others = annotations[1:] + annotations[:1]
    return [
        {**annotation, "category_id": 1 + other["category_id"] % 3, "bbox": other["bbox"], "segmentation": None}
        for annotation, other in zip(annotations, others)
    ]


@pytest.mark.parametrize("model_name", fast(MODELS, "glip_nano"))
def test_given_training_boxes_change_nothing_bit_for_bit(model_name, tmp_path, monkeypatch):
    states, records = [], []
    for change in (as_given, removed, shuffled):
        _, _, record, state = tuned_on(tmp_path / change.__name__, model_name, "upl", change, monkeypatch)
        states.append({**state.trained, **state.language.tensors()})
        records.append({name: record[name] for name in ("history", "pseudo_labels", "best_val_ap", "labels")})
    assert records[0] == records[1] == records[2]
    said = records[0]["pseudo_labels"]
    assert said["of"] == SPLITS["train"] and said["images"] > 0 and set(said["boxes"]) == set(CLASSES)
    assert records[0]["labels"] == []
    for state in states[1:]:
        assert state.keys() == states[0].keys() and all(torch.equal(state[name], states[0][name]) for name in state)


def test_such_a_change_is_seen_by_a_method_that_uses_them(tmp_path, monkeypatch):
    vectors = [
        tuned_on(tmp_path / change.__name__, "glip_nano", "coop", change, monkeypatch)[3].trained["prompt.vectors"]
        for change in (as_given, shuffled)
    ]
    assert not torch.equal(*vectors)


def test_a_detector_that_finds_nothing_is_a_hole_with_its_reason(tmp_path, monkeypatch):
    plan, cell, record, state = tuned_on(tmp_path / "none", "glip_nano", "upl-none", as_given, monkeypatch)
    assert record["skipped"] == state.skipped == NOTHING_FOUND
    evaluate_cell(plan, cell)
    assert read_json(cell.folder / "metrics.json")["reason"] == NOTHING_FOUND


def test_a_method_that_needs_no_labels_says_what_it_trains_on():
    with pytest.raises(ConesError, match="SharedContext needs no labels and does not say what it trains on"):
        TuningMethod.load("coop").pseudo_labels(None, None)
