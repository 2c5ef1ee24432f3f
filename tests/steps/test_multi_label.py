"""Cells of pictures that show several classes: from boxes and captions to mAP, and the table of them."""

import json

import pytest
import torch
import yaml

from cones.data.classification import label_matrix, partly_known, read_items
from cones.evaluation.mean_average_precision import mean_average_precision
from cones.experiment.cell import Plan
from cones.experiment.classification import Setting
from cones.experiment.classification_cells import classification_cell
from cones.experiment.pipeline import Pipeline
from cones.experiment.step import Job
from cones.outputs.files import read_csv
from cones.outputs.make import make_output
from cones.runtime.artifacts import load_tensors, read_json
from cones.runtime.errors import ConesError
from cones.runtime.sources import ROOT
from cones.steps.classified_cell import fit_of
from cones.steps.labelled_cell import LabelledDataset
from tests.steps.tiny_cells import encode, fit, run
from tests.tiny_scenes import NAMES, draw_scenes, scenes_entry
from tests.tiny_sets import tiny_suite, write_tiny

SHORT = {"epochs": 2, "warmup_epochs": 0, "batch_size": 4, "options": {"vectors": 2}}
ARMS = {
    "zero_shot": None,
    "linear_probing": None,
    "taskres": {"recipe": {"epochs": 3, "warmup_epochs": 0}},
    "dualcoop": {"recipe": SHORT},
    "tai_dpt": {"recipe": {**SHORT, "learning_rate": 0.1}},
    "coop": None,
    "tip_adapter": None,
}
GRID = {"setting": "multi_label", "datasets": ["scenes"], "labels": [50]}


def write_suite(folder, **classification) -> None:
    section = {"arms": ARMS, "datasets": ["scenes", "shapes"], "seeds": [1, 2]}
    section["grids"] = {"survey_multi_label": GRID, "survey": {"datasets": ["shapes"], "shots": [2]}}
    content = tiny_suite(**section | classification)
    (folder / "config/tiny.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "datasets.yaml").symlink_to(ROOT / "datasets.yaml")
        write_tiny(folder)
        draw_scenes(folder / "own/scenes")
        sets = yaml.safe_load((folder / "config/tiny_sets.yaml").read_text()) | {"scenes": scenes_entry()}
        (folder / "config/tiny_sets.yaml").write_text(yaml.safe_dump(sets, sort_keys=False))
        write_suite(folder)
        for dataset in ("scenes", "shapes"):
            for step in ("fetch", "prepare"):
                run(step, "--dataset", dataset)
        run("weights", "--model", "clip_nano")
        encode("pooled", "regions", "regions_unplaced", dataset="scenes")
        encode("pooled", dataset="shapes")
        yield folder


@pytest.fixture
def here(world, monkeypatch):
    monkeypatch.chdir(world)
    return world


def scenes(arm, seed=1):
    return fit(arm, "scenes-labels50", seed)


def test_a_setting_has_its_share_of_labels_in_its_name():
    setting = Setting("scenes", "multi_label", 10)
    assert str(setting) == "scenes-labels10" and Setting.of("scenes-labels10") == setting
    for name in (
        "scenes-label10",
        "scenes-labels0",
        "scenes-labels101",
        "scenes-labels010",
        "walls-dense0",
        "dtd-0shot",
    ):
        with pytest.raises(ConesError, match=r"<dataset>-labels<n>.*n from 1"):
            Setting.of(name)


def test_regions_are_the_whole_picture_and_its_positions(here):
    folder = here / "features/tiny/clip_nano/scenes"
    pooled, regions = (load_tensors(folder / f"{kind}.safetensors")[0] for kind in ("pooled", "regions"))
    assert regions["train"].shape == (8, 1 + 64, 128) and regions["test"].shape[0] == 6
    torch.testing.assert_close(regions["test"][:, 0], pooled["test"])


def test_the_score_is_the_map_of_what_was_predicted(here):
    folder, metrics = scenes("zero_shot")
    found = read_json(folder / "predictions.json")["scenes"]
    items = read_items(here / "data/official/scenes")["test"]
    truth = label_matrix(items, 3)
    assert found["present"] == [list(item.present) for item in items] and (truth.sum(1) > 0).all()
    expected = mean_average_precision(torch.tensor(found["scores"]), truth, NAMES)
    score = metrics.targets["scenes"]
    assert metrics.setting == "multi_label" and metrics.shots == 50 and score.accuracy is None
    assert score.mean_ap == pytest.approx(expected.mean, abs=1e-3)
    assert [score.per_class[name] for name in NAMES] == pytest.approx(expected.per_class, abs=1e-3)


@pytest.mark.parametrize("arm", ["linear_probing", "taskres", "dualcoop", "tai_dpt"])
def test_methods_train_on_known_labels_or_on_captions_and_are_scored(arm, here):
    folder, metrics = scenes(arm)
    assert metrics.status == "done" and 0 < metrics.targets["scenes"].mean_ap <= 100
    record = read_json(folder / "tuning.json")
    if arm == "tai_dpt":
        # two captions name a class, and each class has nine of its own: 29 in batches of 4, twice
        assert record["steps"] == 2 * 8 and metrics.trained.train_images == 0 and metrics.trained.labels == "none"
        assert metrics.trained.values == 2 * 2 * 96
    elif arm == "dualcoop":
        assert record["steps"] == 2 * 2 and metrics.trained.train_images == 8 and metrics.trained.values == 2 * 2 * 96
    elif arm == "linear_probing":
        assert metrics.trained.selection == "val" and set(record["choice"]["taken"]) == {"C"}


def test_the_labels_that_are_known_are_drawn_by_the_seed_of_the_cell(here):
    items = read_items(here / "data/official/scenes")["train"]
    one, other = (label_matrix(partly_known(items, 3, 50, seed), 3) for seed in (1, 2))
    assert not torch.equal(one, other)
    states = [load_tensors(scenes("taskres", seed)[0] / "state.safetensors")[0]["residual"] for seed in (1, 2)]
    assert not torch.equal(*states)


def test_a_share_of_labels_without_a_pair_to_train_on_is_said(here):
    said = "no training picture has a class known to be there and one known not to be: nothing trained"
    _, metrics = fit("taskres", "scenes-labels1")
    assert said in metrics.trained.note
    assert metrics.targets["scenes"].mean_ap == fit("zero_shot", "scenes-labels1")[1].targets["scenes"].mean_ap
    assert said not in (scenes("taskres")[1].trained.note or "")
    assert said not in (fit("linear_probing", "scenes-labels1")[1].trained.note or "")


@pytest.mark.parametrize("arm", ["coop", "tip_adapter"])
def test_a_method_without_a_form_for_it_is_a_hole_with_that_reason(arm, here):
    _, metrics = scenes(arm)
    assert metrics.status == "skipped" and metrics.reason == "has no form for several classes a picture"
    _, metrics = fit("dualcoop", "shapes-2shot")
    assert metrics.status == "skipped" and metrics.reason == "has no form for one class a picture"


def test_a_cell_reads_the_positions_that_its_method_names(here):
    pipeline = Pipeline(Plan.load("tiny"))

    def inputs(arm):
        job = Job("classify", model="clip_nano", dataset="scenes-labels50", arm=arm, seed=1)
        return set(pipeline.inputs(job))

    assert inputs("zero_shot") == {"weights", "manifests", "pooled"}
    assert inputs("dualcoop") == {"weights", "manifests", "pooled", "regions"}
    assert inputs("tai_dpt") == {"weights", "manifests", "pooled", "regions_unplaced"}


def test_a_cell_holds_no_features_that_its_method_does_not_read(here, monkeypatch):
    """Positions of all training pictures fill the memory: once is enough."""
    plan, read, stored = Plan.load("tiny"), [], LabelledDataset.stored
    monkeypatch.setattr(LabelledDataset, "stored", lambda self, *which: read.append(which) or stored(self, *which))

    def made(arm):
        read.clear()
        found = fit_of(plan, classification_cell(plan, "clip_nano", "scenes-labels50", arm, 1))
        return found, found.inputs

    _, inputs = made("tai_dpt")
    assert len(inputs.train) == len(inputs.val) == 0 and inputs.unlabelled is None and len(inputs.captions.texts) == 2
    assert not any(split in ("train", "val") for _, split in read)
    found, inputs = made("dualcoop")
    assert inputs.train.features.patches is found.own.stored("regions", "train") and inputs.unlabelled is None


def test_the_table_has_a_row_for_each_method_and_one_for_each_class(here):
    for arm in ARMS:
        for seed in (1, 2):
            scenes(arm, seed)
    make_output(Plan.load("tiny"), "survey_multi_label")
    folder = here / "results/tiny"
    _, rows = read_csv(folder / "survey_multi_label.csv")
    found = {row["arm"]: row for row in rows}
    assert list(found) == list(ARMS) and {row["labels_known"] for row in rows} == {"50"}
    assert not found["coop"]["map_accuracy"] and "has no form for several classes" in found["coop"]["notes"]
    means = [scenes("taskres", seed)[1].targets["scenes"].mean_ap for seed in (1, 2)]
    assert float(found["taskres"]["map_accuracy"]) == pytest.approx(sum(means) / 2, abs=1e-3)
    _, classes = read_csv(folder / "survey_multi_label_classes.csv")
    of_class = {row["class"]: float(row["ap_accuracy"]) for row in classes if row["arm"] == "taskres"}
    assert set(of_class) == set(NAMES)
    assert sum(of_class.values()) / 3 == pytest.approx(float(found["taskres"]["map_accuracy"]), abs=1e-3)
    page = (folder / "survey_multi_label.md").read_text()
    assert "DualCoOp" in page and "| 50 % |" in page and "has no form for several classes a picture" in page


def test_a_set_without_captions_is_a_hole_for_what_learns_of_them(here):
    manifest = here / "data/official/scenes/manifest.json"
    whole = manifest.read_text()
    try:
        manifest.write_text(json.dumps(json.loads(whole) | {"captions": None}))
        _, metrics = scenes("tai_dpt")
        assert metrics.reason == "needs captions, and the data set has none"
    finally:
        manifest.write_text(whole)
        scenes("tai_dpt")


def test_a_grid_of_another_task_than_its_setting_is_refused(here):
    for grids, message in (
        ({"survey": {"datasets": ["scenes"]}}, 'dataset "scenes" is of the task multi_label'),
        ({"survey_multi_label": {"setting": "multi_label", "datasets": ["shapes"]}}, "is of the task classification"),
        ({"survey_multi_label": {**GRID, "labels": [0]}}, "labels.0"),
    ):
        try:
            write_suite(here, grids=grids)
            with pytest.raises(ConesError, match=message):
                Plan.load("tiny")
        finally:
            write_suite(here)
