"""The section `classification`: its recipes, cells and targets, and mistakes that end in one line."""

import pytest
import yaml

from cones.experiment.cell import Plan
from cones.experiment.classification import Setting
from cones.experiment.classification_cells import (
    asked_for,
    classification_cell,
    classification_cells,
    feature_kinds,
    grid_cells,
    settings_of,
    stage1_of,
    targets_of,
)
from cones.experiment.outputs import OUTPUTS, outputs_of
from cones.experiment.pipeline import Pipeline
from cones.experiment.step import Job
from cones.runtime.errors import ConesError
from cones.runtime.sources import ROOT
from tests.tiny_sets import write_tiny

ARMS = {
    "zero_shot": None,
    "cones": {"recipe": {"epochs": 3, "options": {"start": "text"}}},
    "cones-wide": {"method": "cones", "recipe": {"options": {"tokens_per_class": 4}}},
    "cones_finetuned": None,
    "tip_adapter": None,
    "calip": None,
    "svl_adapter": None,
}


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A function that writes the tiny suite with changes of its section, and loads it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "datasets.yaml").symlink_to(ROOT / "datasets.yaml")

    def load(**changes) -> Plan:
        write_tiny(tmp_path, **{"arms": ARMS, **changes})
        return Plan.load("tiny")

    return load


def test_arm_wins_over_model_wins_over_suite_and_options_mix_key_by_key(tiny):
    model = {"initial_seed": 0, "recipe": {"cones": {"learning_rate": 0.2, "epochs": 2, "options": {"start_std": 0.5}}}}
    section = tiny(models={"clip_nano": model}, recipe={"batch_size": 8, "learning_rate": 0.1}).classification
    assert section.recipe_of("clip_nano", "cones") == {
        "batch_size": 8,
        "learning_rate": 0.2,
        "epochs": 3,
        "options": {"start": "text", "start_std": 0.5},
    }
    assert section.recipe_of("clip_nano", "zero_shot") == {"batch_size": 8, "learning_rate": 0.1}
    assert section.recipe_of("clip_nano", "cones-wide")["options"] == {"start_std": 0.5, "tokens_per_class": 4}


@pytest.mark.parametrize(
    "setting", [Setting("dtd", "few_shot", 16), Setting("a-b", "base_to_new", 4), Setting("a-dense2", "dense", 8)]
)
def test_a_setting_is_read_back_from_its_name(setting):
    assert Setting.of(str(setting)) == setting


@pytest.mark.parametrize("name", ["dtd", "dtd-16", "dtd-shot", "-16shot", "dtd-base", "dtd-dense"])
def test_other_names_are_no_settings(name):
    with pytest.raises(ConesError, match="not a dataset with its setting"):
        Setting.of(name)


def test_cells_that_two_tables_show_are_there_once(tiny):
    plan = tiny()
    assert len(grid_cells(plan, "survey")) == 7 * 2
    assert set(grid_cells(plan, "survey_shift")) <= set(grid_cells(plan, "survey"))
    cells = classification_cells(plan)
    assert len(cells) == len(set(cells)) == 14 + 4 + 2  # the survey's, two halves of two seeds, one shot
    assert len(classification_cells(plan, on_request=False)) == 18
    assert str(cells[0].folder) == "results/tiny/clip_nano/shapes-2shot/zero_shot/seed1"


def test_an_arm_may_have_sets_and_seeds_of_its_own_in_a_grid(tiny):
    arms = ["zero_shot", {"cones": {"datasets": ["dark_shapes"], "seeds": [7]}}]
    plan = tiny(grids={"survey": {"arms": arms, "shots": [4]}})
    found = [(cell.dataset, cell.arm, cell.seed) for cell in classification_cells(plan)]
    assert found[-1] == ("dark_shapes-4shot", "cones", 7) and len(found) == 2 * 2 + 1


def test_a_cell_is_scored_on_the_targets_of_grids_that_have_it(tiny):
    plan = tiny()
    shifted = classification_cell(plan, "clip_nano", "shapes-2shot", "zero_shot", 1)
    assert targets_of(plan, shifted) == ("shapes", "dark_shapes")
    assert settings_of(plan, shifted)["targets"] == ["shapes", "dark_shapes"]
    assert targets_of(plan, classification_cell(plan, "clip_nano", "shapes-2shot", "cones", 1)) == ("shapes",)
    assert targets_of(plan, classification_cell(plan, "clip_nano", "shapes-base2", "zero_shot", 1)) == ("shapes",)


def test_a_cell_reads_what_its_method_needs_and_no_more(tiny):
    plan = tiny()
    pipeline = Pipeline(plan)

    def inputs(arm, setting="shapes-2shot"):
        return set(pipeline.inputs(Job("classify", model="clip_nano", dataset=setting, arm=arm, seed=1)))

    def kinds(arm):
        return feature_kinds(plan, classification_cell(plan, "clip_nano", "shapes-2shot", arm, 1))

    assert kinds("tip_adapter") == ("pooled", "views") and kinds("cones_finetuned") == ()
    assert inputs("cones") == {"weights", "manifests", "pooled"}
    assert inputs("zero_shot") == {"weights", "manifests", "pooled", "target_pooled"}
    assert inputs("calip") == {"weights", "manifests", "pooled", "patches"}
    assert inputs("svl_adapter") == {"weights", "manifests", "pooled", "self_supervised"}
    assert inputs("cones_finetuned") == {"weights", "manifests", "stage1"}
    first = stage1_of(plan, classification_cell(plan, "clip_nano", "shapes-2shot", "cones_finetuned", 2))
    assert (first.arm, first.seed) == ("cones", 2)


def test_a_suite_without_detectors_has_no_grid_of_them_and_makes_its_tables(tiny):
    plan = tiny()
    assert plan.suite.grids == {} and plan.all_cells() == []
    names = [output.name for output in outputs_of(plan.suite.parts)]
    survey = ["survey", "survey_ranks", "survey_few_shot", "survey_base_to_new", "survey_shift", "survey_hierarchy"]
    assert names == ["table7", *survey]
    assert not asked_for(plan, OUTPUTS["survey_few_shot"]) and asked_for(plan, OUTPUTS["survey"])


GRID = {"survey": {"datasets": ["shapes"]}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arms": {"conez": None}}, 'arm "conez" has no known method.*cones'),
        ({"arms": {"added_table": None}}, 'the method "added_table" classifies no images'),
        ({"arms": {"cones_finetuned": None}}, 'arm "cones_finetuned" needs the arm "cones" of cones'),
        ({"models": {"clip_nanoo": None}}, 'there is no model "clip_nanoo".*clip_nano'),
        ({"models": {"glip_nano": None}}, 'the model "glip_nano" is no model with two encoders'),
        ({"models": {"clip_nano": {"recipe": {"conez": {}}}}}, 'models.clip_nano.recipe: no method "conez"'),
        ({"datasets": ["shapes", "dark_shape"], "grids": GRID}, 'dataset "dark_shape" is not in .*dark_shapes'),
        ({"datasets": ["shapes", "bccd"], "grids": GRID}, 'dataset "bccd" is of the task detection'),
        (
            {"arms": {"cones": {"recipe": {"epoch": 3}}}, "grids": GRID},
            "recipe of models.clip_nano or arms.cones: epoch: unknown key",
        ),
        ({"arms": {"cones": {"recipe": {"epochs": -1}}}, "grids": GRID}, "arms.cones: epochs"),
        ({"grids": {"surveys": {}}}, "grids.surveys: no table or figure is made of it.*survey"),
        ({"grids": {"table1": {}}}, "grids.table1: no table or figure is made of it"),
        ({"grids": {"survey": {"arms": ["taskres"]}}}, 'grids.survey: arm "taskres" is not in the section'),
        ({"grids": {"survey_shift": {"targets": {"shapes": ["dark"]}}}}, 'grids.survey_shift: dataset "dark"'),
        (
            {"grids": {"survey_shift": {"setting": "base_to_new", "targets": {"shapes": ["dark_shapes"]}}}},
            "`targets` go with `setting: few_shot`",
        ),
        ({"grids": {"survey": {"shots": [0]}}}, "grids.survey.shots.0"),
        (
            {"grids": {"survey": {"labels": [10]}}},
            "grids.survey: `labels` is not read with `setting: few_shot`; say `shots`",
        ),
        (
            {"grids": {"survey_multi_label": {"setting": "multi_label", "shots": [4]}}},
            "`shots` is not read with `setting: multi_label`; say `labels`",
        ),
        ({"grids": {"survey_dense": {}}}, "survey_dense: its table reads `setting: dense`; found few_shot"),
        ({"grids": {"survey": {"setting": "dense"}}}, "survey: its table reads `setting: few_shot`; found dense"),
        (
            {"grids": {"survey_shift": {"targets": {"shapes": ["dark_shapes"]}, "shots": [2, 4]}}},
            "grids.survey_shift: its table shows one number of `shots`; found 2, 4; name one",
        ),
        (
            {"grids": {"survey_base_to_new": {"setting": "base_to_new", "shots": [2, 4]}}},
            "grids.survey_base_to_new: its table shows one number of `shots`",
        ),
        ({"grids": {"survey_wise_ft": {"shots": [2, 4]}}}, "grids.survey_wise_ft: its table shows one number"),
        ({"arms": {"cones": {"recipe": {"options": [1]}}}, "grids": GRID}, "arms.cones: options: .*mapping"),
    ],
)
def test_mistakes_end_in_one_line(tiny, changes, message):
    with pytest.raises(ConesError, match=message) as error:
        tiny(**changes)
    assert "\n" not in str(error.value) and "next: " in str(error.value)


def test_seeds_of_detectors_are_refused_where_there_are_none(tiny):
    """They would change nothing, and nothing would say so."""
    tiny()
    with pytest.raises(ConesError, match=r"seeds overridden: `seeds` are those of detectors.*classification: {seeds"):
        Plan.load("tiny", {"seeds": [5]})
    assert Plan.load("tiny", {"classification": {"seeds": [5]}}).classification.seeds == (5,)


def test_a_classifiers_cell_is_none_of_a_detector(tiny):
    with pytest.raises(ConesError, match="gives whole pictures a class; it finds no objects"):
        tiny().cell("clip_nano", "shapes-2shot", "cones", 1)


def test_a_labelled_set_is_no_set_for_a_detector(tiny, tmp_path):
    tiny()
    suite = yaml.safe_load((ROOT / "config/ci.yaml").read_text())
    suite |= {"suite": "mixed", "source": "official", "registry": ["config/tiny_sets.yaml"], "datasets": ["shapes"]}
    (tmp_path / "config/mixed.yaml").write_text(yaml.safe_dump(suite))
    with pytest.raises(ConesError, match=r'"shapes" is of the task classification.*classification.datasets'):
        Plan.load("mixed")


@pytest.mark.parametrize("name", ["miniature", "clip"])
def test_the_shipped_suites_name_what_is_there(name):
    plan = Plan.load(name)
    assert classification_cells(plan)
    assert "not comparable with the paper" in plan.suite.title
