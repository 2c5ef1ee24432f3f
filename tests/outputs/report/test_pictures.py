"""Test pictures in the report: whose they are, that they are the cell's own, and when there are none."""

import base64
import io
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from cones.data.drawing import class_colour
from cones.experiment.cell import Cell, Plan
from cones.outputs.digests import report as report_digest
from cones.outputs.reads.records import records_of
from cones.outputs.records import Record
from cones.outputs.report import pictures
from cones.outputs.report.pictures import shown_cells
from cones.runtime.artifacts import write_json
from cones.runtime.errors import ConesError
from tests.outputs.report.pictured import seal, with_pictures
from tests.outputs.report.suites import finished, page_of
from workflow.context import Context

DATASETS = ["aquarium", "bccd"]


@pytest.fixture
def plan(tmp_path, monkeypatch):
    made = finished(tmp_path, monkeypatch, suite="ci")
    with_pictures(made, DATASETS)
    return made


def drawn(plan, **options):
    return pictures.pictures_of(plan, records_of(plan, ["table1"]), **options)


def section(page: str) -> str:
    return page.partition('<section id="pictures">')[2].partition("</section>")[0]


def shows(uri: str, colour) -> bool:
    """Whether an outline of that colour is in the picture, as JPEG keeps it."""
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(uri))).convert("RGB"), int)
    return (abs(pixels - colour).max(axis=-1) < 40).sum() > 50


def test_annotated_stands_beside_predicted_and_the_page_warns(plan):
    page = page_of(plan)
    found = re.findall(r'src="data:image/jpeg;base64,([^"]+)"[^>]*alt="[^"]*: ([^"]+)"', section(page))
    assert [words for _, words in found] == ["1 annotated", "1 predicted"] * 4  # two pictures of two datasets
    red, white = (class_colour(n, 2) for n in range(2))
    for uri, words in found:
        own, other = (red, white) if "annotated" in words else (white, red)
        assert shows(uri, own) and not shows(uri, other)
    assert "2 of 2 detections, those of score 0.9 or more" in section(page)
    assert "This page contains test pictures" in page and "report: {pictures: false}" in page
    assert drawn(plan) == drawn(plan)


def test_a_suite_may_leave_them_out(plan):
    without = Plan.load("ci", {"report": {"pictures": False}})
    page = page_of(without)
    for trace in ("data:image/jpeg", "#pictures", "contains test pictures", "1.png"):
        assert trace not in page
    assert report_digest(without, {}) != report_digest(plan, {})


def test_validation_and_not_test_decides_which_cell_is_shown():
    def record(arm, validation, test, model="a", status="done"):
        epoch = "" if arm == "zero_shot" else "3"
        row = {"status": status, "validation_ap": validation, "ap": test, "selected_epoch": epoch}
        return Cell("ci", model, "bccd", arm, 0), Record(row, {})

    best_on_test = record("cones", "10", "90")
    best_on_validation = record("prompt_tuning", "30", "20")
    untuned, other_model = record("zero_shot", "", "95"), record("cones", "80", "80", model="b")
    failed = record("full_finetuning", "99", "99", status="failed")
    records = dict([failed, untuned, best_on_test, best_on_validation, other_model])
    assert shown_cells(records) == [best_on_validation[0]]
    unchosen = record("linear_probing", "", "1")  # tuned where there is no validation split
    assert shown_cells(dict([untuned, unchosen])) == [unchosen[0]]
    assert shown_cells(dict([untuned])) == [untuned[0]]
    assert shown_cells(dict([failed])) == []


def test_files_that_are_not_the_cells_own_are_refused_or_in_a_partial_report_a_reason(plan):
    predictions = plan.cell("glip_nano", "bccd", "cones", 0).folder / "predictions.json"
    kept = predictions.read_text()
    predictions.write_text(kept.replace("0.9", "0.8"))
    with pytest.raises(ConesError, match=r"predictions\.json: content changed"):
        drawn(plan)
    aquarium, bccd = drawn(plan, partial=True)
    assert aquarium.pairs and "predictions.json: content changed" in bccd.reason
    predictions.write_text(kept)
    split = plan.data_folder("bccd") / "test.json"
    split.write_text(split.read_text().replace('"red"', '"rot"'))
    with pytest.raises(ConesError, match=r"test\.json: content changed"):
        drawn(plan)


def test_a_cell_of_other_data_is_refused(plan):
    manifest = plan.data_folder("bccd") / "manifest.json"
    write_json(manifest, {"status": "ready", "splits": {}})
    with pytest.raises(ConesError, match=r"manifest\.json: content changed"):
        drawn(plan)
    write_json(plan.cell("glip_nano", "bccd", "cones", 0).folder / "run.json", {"sha256": {"metrics.json": "0"}})
    with pytest.raises(ConesError, match=r"records no sha256 of .*predictions\.json"):
        drawn(plan)


def test_data_on_another_machine_is_said_and_no_fault(plan):
    manifest = plan.data_folder("bccd") / "manifest.json"
    write_json(manifest, {"status": "skipped", "reason": "its folder is gone"})
    assert drawn(plan)[1].reason == "its pictures are not here any more: its folder is gone"
    shutil.rmtree(plan.suite.data_dir)
    for shown in drawn(plan):
        assert not shown.pairs and "its pictures are not on this machine: there is no data/miniature/" in shown.reason


def test_the_page_does_not_grow_without_end(plan, monkeypatch):
    monkeypatch.setattr(pictures, "MOST_BYTES", 1)
    first, second = drawn(plan)
    assert first.pairs and not second.pairs
    assert second.reason == "the page holds as many pictures as it may"
    assert second.command.endswith("--suite ci --model glip_nano --dataset bccd --arm cones --seed 0")


def test_no_detection_is_a_picture_without_boxes(plan):
    cell = plan.cell("glip_nano", "bccd", "cones", 0)
    (cell.folder / "predictions.json").write_text("[]\n")
    seal(plan, cell)
    assert drawn(plan)[1].rule == "nothing is drawn of 0 detections"


def test_every_file_they_are_drawn_from_is_an_input_of_the_report(plan):
    declared = pictures.inputs(plan, dict.fromkeys(plan.cells("table1")))
    assert {path.name for path in declared} == {"manifest.json", "test.json", "predictions.json"}
    assert all(path.exists() for path in declared)
    assert set(map(str, declared)) <= set(Context(plan, {}).report_inputs())
    without = Plan.load("ci", {"report": {"pictures": False}})
    assert not set(map(str, declared)) & set(Context(without, {}).report_inputs())
