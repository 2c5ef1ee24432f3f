"""`metrics.json`: a round trip that keeps every byte, and one line for each way to be malformed."""

import json

import pytest
from pydantic import ValidationError

from cones.evaluation.coco_ap import evaluate_detections
from cones.evaluation.metrics import CellKey, CellMetrics, Parameters, Scores, Selection, read_metrics, write_metrics
from cones.runtime.errors import ConesError

CELL = CellKey(suite="miniature", model="glip_nano", dataset="bccd", arm="cones", method="cones", seed=0)
COUNT = {"trained": 100, "total": 5000, "text_encoder": 0}


def scores():
    truth = {
        "images": [{"id": 1, "width": 9, "height": 9}],
        "categories": [{"id": 1, "name": "red"}, {"id": 2, "name": "platelet"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 4, 4], "area": 16}],
    }
    return evaluate_detections(truth, [], 100)


def done(**changes):
    given = {
        "cell": CELL,
        "group": "non_radiology",
        "task": "detection",
        "status": "done",
        "selection": Selection(epoch=3, validation_ap=41.5),
        "scores": {"bbox": Scores(**scores())},
        "parameters": Parameters(used=COUNT, paper=COUNT),
    }
    return CellMetrics(**{**given, **changes})


def skipped():
    return CellMetrics(cell=CELL, group="natural", task="detection", status="skipped", reason="needs a form")


@pytest.mark.parametrize("metrics", [done(), done(selection=None), skipped()])
def test_round_trip(tmp_path, metrics):
    path = tmp_path / "metrics.json"
    write_metrics(path, metrics)
    written = path.read_bytes()
    assert read_metrics(path) == metrics
    write_metrics(path, read_metrics(path))
    assert path.read_bytes() == written
    assert json.loads(written)["schema_version"] == 1


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda m: m.update(schema_version=2), "schema_version"),
        (lambda m: m.update(extra=1), "extra: unknown key"),
        (lambda m: m.pop("group"), "group: a required key is missing"),
        (lambda m: m["cell"].update(seed="first"), "cell.seed"),
        (lambda m: m["scores"]["bbox"].update(ap=-1), "ap: Input should be greater than or equal to 0"),
        (lambda m: m["scores"]["bbox"].update(ap=float("nan")), "ap: Input should be"),
        (lambda m: m.update(status="failed"), "status"),
        (lambda m: m.update(scores={}), "a done cell has scores"),
        (lambda m: m.update(parameters=None), "a done cell has scores for bbox, parameters"),
        (lambda m: m["parameters"]["used"].update(trained=6000), "larger than the total"),
        (lambda m: m.update(status="skipped"), "a skipped cell has a reason"),
    ],
)
def test_malformed_files_are_refused_in_one_line(tmp_path, change, message):
    path = tmp_path / "metrics.json"
    value = done().model_dump(mode="json")
    change(value)
    path.write_text(json.dumps(value))
    with pytest.raises(ConesError, match=message) as error:
        read_metrics(path)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "text, message", [("", "not valid JSON"), ('{"cell": ', "not valid JSON"), ("[]", "should be a mapping of keys")]
)
def test_cut_files_are_refused(tmp_path, text, message):
    path = tmp_path / "metrics.json"
    path.write_text(text)
    with pytest.raises(ConesError, match=message):
        read_metrics(path)


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(ConesError, match="file is missing"):
        read_metrics(tmp_path / "metrics.json")


def test_a_skip_without_reason_cannot_be_made():
    with pytest.raises(ValidationError, match="has a reason"):
        CellMetrics(cell=CELL, group="natural", task="detection", status="skipped")
