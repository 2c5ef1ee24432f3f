"""One dataset with masks from its drawing to Table 2, step by step: boxes and masks are tuned on, predicted, scored."""

import pytest

from cones.data.masks import decoded
from cones.evaluation.metrics import read_metrics
from cones.evaluation.predictions import read_predictions
from cones.experiment.cell import Plan
from cones.miniature.archives import draw
from cones.outputs.files import read_csv
from cones.outputs.make import make_output
from cones.runtime.artifacts import read_json
from cones.steps.collect import collect_grid
from cones.steps.data import fetch_dataset, prepare_dataset
from cones.steps.evaluate import evaluate_cell
from cones.steps.predict import predict_pictures
from cones.steps.tune import tune_cell
from cones.steps.weights import make_weights
from tests.made import made_by

MODEL, DATASET = "uninext_nano", "dfuc2022"
OVERRIDES = {
    "grids": {
        "table2": {"models": [MODEL], "datasets": [DATASET], "arms": ["cones"], "seeds": [0]},
        "table4": {"models": [MODEL], "datasets": [DATASET], "arms": ["cones-cls+box", "cones"]},
    },
    "tuning": {"max_epochs": 1, "shots": 2, "warmup_steps": 0},
    "dataset_tuning": {DATASET: {"selection": "last"}},
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The suite `miniature`, cut to a few training pictures, and a folder in which both cells are tuned and scored."""
    loaded = Plan.load("miniature", OVERRIDES)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder := tmp_path_factory.mktemp("world"))
        draw(loaded.registry[DATASET], loaded.suite.data_dir)
        fetch_dataset(loaded, DATASET)
        prepare_dataset(loaded, DATASET)
        make_weights(loaded, MODEL)
        for cell in loaded.cells("table4"):
            tune_cell(loaded, cell)
            evaluate_cell(loaded, cell)
        made_by(loaded)
    return loaded, folder


def test_boxes_and_masks_are_scored_and_masks_chose(plan):
    (cell,) = plan.cells("table2")
    metrics = read_metrics(cell.folder / "metrics.json")
    assert set(metrics.scores) == {"bbox", "segm"} and metrics.task == "instance_segmentation"
    assert (metrics.selection.by, metrics.selection.iou_type, metrics.selection.epoch) == ("last", "segm", 1)
    assert metrics.scores["segm"].ap > 0


def test_predicted_masks_are_those_of_the_pictures(plan):
    (cell,) = plan.cells("table2")
    truth = read_json(plan.data_folder(DATASET) / "test.json")
    sizes = {image["id"]: (image["height"], image["width"]) for image in truth["images"]}
    results = read_predictions(cell.folder / "predictions.json")
    assert {result["image_id"] for result in results} == set(sizes)
    shares = []
    for result in sorted(results, key=lambda result: -result["score"])[:20]:
        mask = decoded(result["segmentation"], sizes[result["image_id"]])
        x, y, w, h = (round(value) for value in result["bbox"])
        assert mask.shape == sizes[result["image_id"]]
        shares.append(mask[y : y + h, x : x + w].sum() / max(mask.sum(), 1))
    assert sum(shares) > 0.6 * len(shares), "a mask lies in its box"


def test_a_persons_own_picture_gets_the_masks_that_scoring_gave_it(plan, tmp_path):
    (cell,) = plan.cells("table2")
    image = read_json(plan.data_folder(DATASET) / "test.json")["images"][0]
    picture = plan.data_folder(DATASET) / "raw" / image["file_name"]
    (found,) = predict_pictures(plan, cell, [picture], out=tmp_path, threshold=0.0).pictures
    scored = [
        result for result in read_predictions(cell.folder / "predictions.json") if result["image_id"] == image["id"]
    ]
    own, recorded = (
        [decoded(result["segmentation"], (image["height"], image["width"])) for result in results]
        for results in (found.results, scored)
    )
    assert len(own) == len(recorded) > 0
    assert sum((a != b).mean() for a, b in zip(own, recorded)) < 1e-3 * len(own)
    assert found.drawn.stat().st_size > 0


def test_an_arm_trains_only_its_losses(plan):
    partly, whole = plan.cells("table4")
    terms = [set(read_json(cell.folder / "tuning.json")["history"][0]["losses"]) for cell in (partly, whole)]
    assert terms[0] < terms[1]
    assert terms[1] - terms[0] == {term for term in terms[1] if "mask" in term or "dice" in term}


def test_the_cells_become_tables_2_and_4(plan):
    for grid in ("table2", "table4"):
        collect_grid(plan, grid)
        make_output(plan, grid)
    folder = next(plan.cells("table4")).folder.parents[3]
    (row,) = read_csv(folder / "table2.csv")[1]
    assert float(row[f"{DATASET}_box_ap"]) > 0 and float(row[f"{DATASET}_mask_ap"]) > 0
    assert "the last epoch" in row["notes"]
    rows = read_csv(folder / "table4.csv")[1]
    assert [(row["classification"], row["box"], row["mask"]) for row in rows] == [("yes", "yes", ""), ("yes",) * 3]
