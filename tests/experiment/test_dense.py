"""Dense cells in a suite: their place in the DAG, what they depend on, and mistakes that end in one line."""

import pytest

from cones.experiment.cell import Plan
from cones.experiment.classification import Setting
from cones.experiment.classification_cells import (
    classification_cell,
    classification_cells,
    feature_kinds,
    grid_cells,
    settings_of,
    targets_of,
)
from cones.experiment.outputs import OUTPUTS, outputs_of
from cones.experiment.pipeline import Pipeline
from cones.experiment.step import Job
from cones.runtime.errors import ConesError
from cones.runtime.sources import ROOT
from tests.tiny_maps import GRID_ARMS, write_tiny_maps

SETTING = "walls-dense4"


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A function that writes the tiny suite with changes of its section, and loads it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "datasets.yaml").symlink_to(ROOT / "datasets.yaml")

    def load(**changes) -> Plan:
        write_tiny_maps(tmp_path, **changes)
        return Plan.load("tiny")

    return load


def test_a_grid_has_the_sets_of_its_setting_s_task_and_its_cells_their_own_setting(tiny):
    plan = tiny()
    cells = grid_cells(plan, "survey_dense")
    assert [(cell.dataset, cell.arm) for cell in cells] == [(SETTING, arm) for arm in GRID_ARMS]
    assert Setting.of(SETTING) == Setting("walls", "dense", 4) and Setting.of(SETTING).task == "dense"
    assert Setting.of("shapes-base4").task == Setting.of("shapes-4shot").task == "classification"
    assert classification_cells(plan) == cells
    assert [output.name for output in outputs_of(plan.suite.parts)] == ["table7", "survey_dense"]
    assert "walls" in plan.suite.all_datasets and ("classification.datasets", "walls") in plan.suite.named_datasets


def test_a_cell_reads_weights_and_its_manifest_and_no_stored_features(tiny):
    plan = tiny()
    cell = classification_cell(plan, "clip_nano", SETTING, "zero_shot", 1)
    job = Job("classify", model="clip_nano", dataset=SETTING, arm="zero_shot", seed=1)
    assert set(Pipeline(plan).inputs(job)) == {"weights", "manifests"}
    assert feature_kinds(plan, cell) == () and targets_of(plan, cell) == ("walls",)


def test_the_side_of_pictures_is_a_setting_of_dense_cells_alone(tiny):
    model = {"clip_nano": {"initial_seed": 0, "dense_side": 96}}
    grids = {"survey": {"datasets": ["shapes"]}, "survey_dense": {"setting": "dense", "arms": ["zero_shot"]}}
    plan = tiny(models=model, grids=grids)
    dense = classification_cell(plan, "clip_nano", "walls-dense16", "zero_shot", 1)
    whole = classification_cell(plan, "clip_nano", "shapes-16shot", "zero_shot", 1)
    assert settings_of(plan, dense)["dense_side"] == 96 and "dense_side" not in settings_of(plan, whole)
    assert {cell.dataset for cell in grid_cells(plan, "survey_dense")} == {"walls-dense16"}
    assert {cell.dataset for cell in grid_cells(plan, "survey")} == {"shapes-16shot"}


GRID = {"survey_dense": {"setting": "dense"}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"datasets": ["shapes"]}, 'dataset "shapes" is of the task classification.*datasets of the task dense'),
        ({"datasets": ["walls", "bccd"]}, 'dataset "bccd" is of the task detection'),
        ({"grids": {"survey_dense": {"setting": "dense", "datasets": ["shapes"]}}}, "is of the task classification"),
        ({"grids": {"survey": {"datasets": ["walls"]}}}, 'dataset "walls" is of the task dense.*few_shot'),
        ({"joint": {"both": ["shapes", "walls"]}}, 'joint.both: dataset "walls" is of the task dense'),
        ({"models": {"clip_nano": {"dense_side": 0}}}, "dense_side"),
    ],
)
def test_mistakes_end_in_one_line(tiny, changes, message):
    with pytest.raises(ConesError, match=message) as caught:
        tiny(**{"grids": GRID, **changes})
    assert "\n" not in str(caught.value)


def test_a_set_of_pixels_has_no_cells_of_whole_pictures(tiny):
    plan = tiny()
    with pytest.raises(ConesError, match=r'"walls" is of the task dense.*a dataset of the task classification'):
        classification_cell(plan, "clip_nano", "walls-4shot", "zero_shot", 1)
    with pytest.raises(ConesError, match=r'"shapes" is of the task classification.*and the setting is dense'):
        classification_cell(plan, "clip_nano", "shapes-dense4", "zero_shot", 1)


def test_the_shipped_suites_have_the_table():
    assert OUTPUTS["survey_dense"].grids == ("survey_dense",)
    plan = Plan.load("miniature")
    arms = {cell.arm for cell in grid_cells(plan, "survey_dense")}
    assert {"zero_shot", "maskclip", "denseclip", "probe_dense", "cones_dense"} <= arms
    assert {cell.dataset for cell in grid_cells(plan, "survey_dense")} == {"nano_scene_masks-dense16"}
