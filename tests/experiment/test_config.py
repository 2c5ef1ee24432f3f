"""The typed config: resolution order, exported schemas, and mistakes that end in one line."""

import json
import re

import pytest

from cones.experiment.cell import Plan
from cones.experiment.classification_cells import asked_for
from cones.experiment.outputs import OUTPUTS
from cones.experiment.schemas import schemas
from cones.experiment.suite import cell_settings, load_suite, merged
from cones.forecast.targets import parts_of
from cones.methods.method import METHODS
from cones.runtime.errors import ConesError
from workflow.context import Context


@pytest.mark.parametrize("name", ["miniature", "bccd", "ci", "learning_rates"])
def test_shipped_suites_are_valid_and_tell_what_they_are(name):
    suite = load_suite(name)
    assert suite.suite == name
    assert "not comparable with the paper" in suite.title


def test_the_exported_schemas_are_those_of_the_code():
    for path, schema in schemas().items():
        assert json.loads(path.read_text()) == schema, f"{path} is out of date: run `make schema`"


def test_arm_wins_over_model_wins_over_suite():
    overrides = {
        "tuning": {"weight_decay": 0.1, "max_epochs": 7},
        "models": {"glip_nano": {"tuning": {"weight_decay": 0.2, "clip_norm": 3.0}}},
        "arms": {"cones-n1": {"method": "cones", "tokens_per_class": 1, "tuning": {"weight_decay": 0.3}}},
    }
    settings = cell_settings(load_suite("ci", overrides), "glip_nano", "cones-n1")
    assert (settings.method, settings.tokens_per_class, settings.learning_rate) == ("cones", 1, 0.1)
    assert (settings.tuning.weight_decay, settings.tuning.clip_norm, settings.tuning.max_epochs) == (0.3, 3.0, 7)


def test_a_grid_is_everything_but_what_it_names_and_shared_cells_are_there_once():
    grids = {"table1": {"arms": ["zero_shot", "cones"]}}
    plan = Plan.load("ci", {"grids": grids})
    assert [(cell.dataset, cell.arm) for cell in plan.cells("table1")] == [
        ("aquarium", "zero_shot"),
        ("aquarium", "cones"),
        ("bccd", "zero_shot"),
        ("bccd", "cones"),
    ]
    assert plan.all_cells() == list(plan.cells("table1"))
    assert len(Plan.load("ci", {"grids": None}).all_cells()) == 14
    elsewhere = Plan.load("ci", {"grids": {"table1": {"datasets": ["pothole"]}}})
    assert elsewhere.suite.all_datasets == ("pothole",)


def test_a_grid_on_request_is_planned_and_no_part_of_all():
    plan = Plan.load("miniature", {"grids": {"table5": {"on_request": True}}})
    usual = Plan.load("miniature")
    asked = set(plan.cells("table5")) - set(plan.all_cells(on_request=False))
    assert plan.all_cells() == usual.all_cells()
    assert len(asked) == 30 - 3  # 2 sets, 5 arms, 3 seeds; Table 1 has `cones` with seed 0 on both, `stability` seed 1
    assert not asked_for(plan, OUTPUTS["table5"]) and asked_for(usual, OUTPUTS["table5"])
    assert parts_of(plan, ["table5"]) == ["table5"]
    assert set(parts_of(usual, [])) - set(parts_of(plan, [])) == {"table5"}
    unread = set(Context(usual, {}).report_inputs()) - set(Context(plan, {}).report_inputs())
    assert any(file.endswith("table5_cells.csv") for file in unread)
    assert "results/table5.csv" not in Context(plan, {}).targets()


def test_the_study_of_the_surveys_rates_tries_the_rates_that_the_papers_methods_had():
    tried = {}
    for name in ("learning_rates", "learning_rates_methods"):
        tried[name] = {}
        for arm in load_suite(name).arms.values():
            if arm is not None and arm.learning_rate is not None:
                tried[name].setdefault(arm.method, []).append(arm.learning_rate)
    assert all(rates == tried["learning_rates"]["cones"] for rates in tried["learning_rates_methods"].values())
    suite = load_suite("miniature")
    arms = suite.grids["methods"].arms
    compared = {(suite.arms[arm] and suite.arms[arm].method) or arm for arm in arms}
    tuned = {name for name in compared if METHODS[name].is_tuned}
    have_theirs = {*tried["learning_rates"], "added_table", "cones_text_init"}  # GLIP's own, and that of ConES
    assert tuned - have_theirs <= set(tried["learning_rates_methods"])


def test_registry_files_of_an_override_stand_beside_those_of_the_suite():
    own = load_suite("miniature").registry
    assert own and load_suite("miniature", {"registry": ["mine.yaml"]}).registry == (*own, "mine.yaml")


def test_a_command_about_one_dataset_minds_the_sources_of_no_other():
    official = {"source": "official"}
    with pytest.raises(ConesError, match='nano_names: no source "official"'):
        Plan.load("miniature", official)
    assert Plan.load("miniature", official, of="bccd").suite.source == "official"
    with pytest.raises(ConesError, match='nano_cells: no source "official"'):
        Plan.load("miniature", official, of="nano_cells")


def test_seeds_may_name_an_arm_that_the_grid_leaves_out_and_none_that_the_suite_lacks():
    fewer = Plan.load("miniature", {"grids": {"table2": {"arms": ["cones"]}}})
    assert fewer.suite.seeds_of("table2", "cones") == (0, 1, 2)
    with pytest.raises(ConesError, match='"conse" is no arm of the suite'):
        load_suite("miniature", {"grids": {"table2": {"seeds": {"conse": [1]}}}})


def test_mappings_merge_and_lists_replace():
    assert merged({"a": {"b": 1, "c": [1]}, "d": 2}, {"a": {"c": [2]}}) == {"a": {"b": 1, "c": [2]}, "d": 2}


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"generation": {"figure3": ["dog66"]}}, 'generation.figure3: "dog66" is no subject of dataset dreambooth'),
        ({"generation": {"subjects": ["dog66"]}}, 'generation.subjects: "dog66" is no subject of dataset dreambooth'),
        ({"generation": {"dataset": "dreambot"}}, 'generation.dataset: dataset "dreambot" is not in datasets.yaml'),
        ({"grids": {"table2": {"datasets": ["kvasir"]}}}, 'grids.table2.datasets: dataset "kvasir" is not in'),
        ({"dataset_tuning": {"cityscape": {}}}, 'dataset_tuning: dataset "cityscape" is not in datasets.yaml'),
    ],
)
def test_a_name_that_is_no_dataset_or_subject_is_refused_with_the_nearest(overrides, message):
    with pytest.raises(ConesError, match=re.escape(message) + r'.*; next: did you mean ".*"\?$'):
        Plan.load("miniature", overrides)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"tunning": {}}, 'tunning: unknown key; next: did you mean "tuning"?'),
        ({"arms": ["zero_shot", "cone"]}, 'arm "cone" has no known method; did you mean "cones"?'),
        ({"arms": ["cones_finetuned"]}, 'arm "cones_finetuned" needs the arm "cones"'),
        ({"models": {"glip_nano": {"tuning": {"max_epoch": 3}}}}, 'did you mean "max_epochs"?'),
        (
            {"models": {"glip_nano": {"learning_rate": {"conses": 1.0}}}},
            'unknown method "conses"; did you mean "cones"?',
        ),
        (
            {"grids": {"table1": {"arms": ["cone"]}}},
            'grids.table1: arm "cone" is not in the suite; did you mean "cones"?',
        ),
        ({"grids": {"table11": {}}}, "grids.table11"),
        ({"seeds": []}, "seeds"),
        ({"suite": "../elsewhere"}, "suite"),
    ],
)
def test_mistakes_end_in_one_line(overrides, message):
    with pytest.raises(ConesError) as caught:
        load_suite("ci", overrides)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value) and "ci" in str(caught.value)


def test_an_unknown_suite_names_the_closest():
    with pytest.raises(ConesError, match='did you mean "miniature"'):
        load_suite("minature")


def test_a_model_is_trained_and_scored_as_its_family_is_unless_the_suite_says_otherwise():
    suite = load_suite("miniature", {"models": {"uninext_nano": {"precision": "bfloat16"}}})
    settings = [cell_settings(suite, model, "cones") for model in ("uninext_nano", "glip_nano")]
    assert [(each.precision, each.scoring_precision) for each in settings] == [
        ("bfloat16", "float32"),
        ("float16", "float32"),
    ]


COUNTED = {"arms": ["zero_shot", "cones"], "datasets": ["bccd"], "grids": {"table1": {}}}  # three classes


def with_vectors(model: str, tokens: int, **tuning) -> dict:
    rates = {"learning_rate": {"cones": 0.1}, "tokens_per_class": tokens, "tuning": tuning}
    return {**COUNTED, "models": {model: rates}, "grids": {"table1": {"models": [model]}}}


@pytest.mark.parametrize(
    ("model", "tokens", "tuning", "cure"),
    [
        ("grounding_dino_nano", 86, {}, "set `tokens_per_class: 85` for this arm"),
        ("glip_nano", 86, {"exact_savings": False}, "set `tokens_per_class: 85` for this arm"),  # padded to 256 rows
    ],
)
def test_more_rows_of_vectors_than_a_model_takes_are_refused_when_planned(model, tokens, tuning, cure):
    Plan.load("ci", with_vectors(model, tokens - 1, **tuning))
    with pytest.raises(ConesError) as caught:
        Plan.load("ci", with_vectors(model, tokens, **tuning))
    said = str(caught.value)
    assert f"{model}, bccd, cones" in said and "3 classes with 86 vectors each: 258" in said and cure in said


def test_a_model_without_a_limit_takes_any_number_of_rows():
    Plan.load("ci", with_vectors("glip_nano", 200))
