"""Arms matched in trained values, grids of few shots, and grids on request that no other table asks for."""

import pytest

from cones.experiment.cell import Cell, Plan
from cones.experiment.cell_steps import cell_steps, job_of_cell
from cones.experiment.outputs import OUTPUTS
from cones.experiment.suite import load_suite
from cones.runtime.errors import ConesError

SHOTS = {1: {"copies": 8}, 5: {"copies": 2, "shot_seed": "cell"}}


def few(**grid):
    return {"grids": {"table1": {"arms": ["zero_shot", "cones", "cones_finetuned"], "few_shot": SHOTS, **grid}}}


def test_a_matched_context_has_as_many_vectors_as_all_classes_of_the_other_together():
    plan = Plan.load("miniature")
    for dataset, classes in (("raccoon", 1), ("bccd", 3), ("vehicles_openimages", 5)):
        assert len(plan.registry[dataset].classes) == classes
        ours = plan.settings(Cell("miniature", "glip_nano", dataset, "cones", 0)).tokens_per_class
        theirs = plan.settings(Cell("miniature", "glip_nano", dataset, "coop-matched", 0)).tokens_per_class
        assert theirs == classes * ours  # N K D values on both sides
    native = plan.settings(Cell("miniature", "glip_nano", "bccd", "coop", 0))
    assert native.tokens_per_class == 3


def test_a_matched_context_ends_at_half_of_the_caption():
    plan = Plan.load("miniature", {"grids": {"methods": {"datasets": ["pascal_voc"]}}})
    tokens = plan.settings(Cell("miniature", "glip_nano", "pascal_voc", "coop-matched", 0)).tokens_per_class
    assert tokens == 6 and 20 * tokens <= 128 < 20 * (tokens + 1)


def test_the_step_of_a_matched_arm_has_the_settings_of_its_own_dataset():
    plan = Plan.load("miniature")
    tune = {step.name: step for step in cell_steps(plan)}["tune"]
    cells = [Cell("miniature", "glip_nano", dataset, "coop-matched", 0) for dataset in ("raccoon", "bccd")]
    assert [tune.settings(job_of_cell("tune", cell))["tokens_per_class"] for cell in cells] == [3, 9]


@pytest.mark.parametrize(
    ("arm", "said"),
    [
        ({"method": "coop", "matched_to": "conse"}, 'matched_to "conse" is no arm of the suite; did you mean "cones"'),
        ({"method": "coop", "matched_to": "cones", "tokens_per_class": 4}, "leave `tokens_per_class` out"),
        ({"method": "taskres", "matched_to": "cones"}, "trains more than N vectors, or none"),
        ({"method": "dualcoop", "matched_to": "cones"}, "trains more than N vectors, or none"),
        ({"method": "plot", "matched_to": "cones"}, "trains more than N vectors, or none"),
        ({"method": "cocoop", "matched_to": "cones"}, "trains more than N vectors, or none"),
        ({"method": "coop", "matched_to": "linear_probing"}, "has no vectors of each class"),
        ({"method": "coop", "matched_to": "coop-matched"}, "is a match itself"),
    ],
)
def test_a_match_that_cannot_be_made_is_refused(arm, said):
    arms = {"cones": {}, "linear_probing": {}, "coop-matched": {"method": "coop", "matched_to": "cones"}, "mine": arm}
    with pytest.raises(ConesError, match="mine.*" + said):
        load_suite("ci", {"arms": arms, "grids": {"table1": {"arms": ["cones"]}}})


def test_every_tuned_arm_of_a_grid_of_few_shots_is_an_arm_for_each_number():
    plan = Plan.load("ci", few(seeds=[0, 1]))
    expected = ["zero_shot", "cones-1shot", "cones-5shot", "cones_finetuned-1shot", "cones_finetuned-5shot"]
    assert list(plan.suite.grid("table1")[2]) == expected
    tuning = plan.settings(Cell("ci", "glip_nano", "bccd", "cones-1shot", 1)).tuning
    assert (tuning.shots, tuning.copies, tuning.shot_seed, tuning.max_epochs) == (1, 8, None, 1)
    second = Cell("ci", "glip_nano", "bccd", "cones_finetuned-5shot", 1)
    assert plan.stage1(second).arm == "cones-5shot" and plan.method(second.arm).name == "cones_finetuned"
    assert plan.settings(Cell("ci", "glip_nano", "bccd", "zero_shot", 0)).tuning.shots is None


def test_what_reads_labels_without_training_reads_as_few_and_its_tuned_arm_is_that_of_as_many_images():
    arms = {name: {} for name in ("zero_shot", "cones", "cones_finetuned", "tip_adapter", "wise_ft_cones")}
    grid = {"arms": ["zero_shot", "tip_adapter", "wise_ft_cones"], "few_shot": SHOTS}
    plan = Plan.load("ci", {"arms": arms, "grids": {"table1": grid}})
    expected = ["zero_shot", "tip_adapter-1shot", "tip_adapter-5shot", "wise_ft_cones-1shot", "wise_ft_cones-5shot"]
    assert list(plan.suite.grid("table1")[2]) == expected
    assert plan.settings(Cell("ci", "glip_nano", "bccd", "tip_adapter-5shot", 0)).tuning.shots == 5
    mean = Cell("ci", "glip_nano", "bccd", "wise_ft_cones-1shot", 0)
    assert plan.tuned(mean).arm == "cones_finetuned-1shot" and plan.settings(plan.tuned(mean)).tuning.shots == 1
    assert plan.stage1(plan.tuned(mean)).arm == "cones-1shot"


def test_the_images_of_a_few_shot_cell_are_drawn_by_its_own_seed():
    plan = Plan.load("ci", few(seeds=[0, 1]))
    tune = {step.name: step for step in cell_steps(plan)}["tune"]
    jobs = [job_of_cell("tune", Cell("ci", "glip_nano", "bccd", "cones-5shot", seed)) for seed in (0, 1)]
    assert [tune.settings(job)["tuning"]["shot_seed"] for job in jobs] == [0, 1]


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ({"few_shot": {0: {}}}, "few_shot"),
        ({"few_shot": {1: {"copis": 8}}}, "copis"),
        ({"few_shot": [1, 5]}, "few_shot"),
        ({"few_shot": {"shots": [1, 5]}}, "grids.table1.few_shot.*valid integer"),
        ({"few_shot": {1: [8]}}, "grids.table1.few_shot.1: .*mapping"),
    ],
)
def test_a_mistake_in_few_shot_ends_in_one_line(grid, said):
    with pytest.raises(ConesError, match=said):
        Plan.load("ci", few(**grid))


@pytest.mark.parametrize(
    ("grids", "said"),
    [
        ({"few_shot": {}}, "grids.few_shot: `few_shot` is missing"),
        ({"forgetting": {}}, "grids.forgetting: `targets` is missing"),
        ({"table1": {"targets": {"bccd": ["raccoon"]}}}, "grids.table1: no table of this grid reads `targets`"),
        ({"forgetting": {"targets": {"bccd": ["bccd"]}}}, '"bccd" is scored on itself anyway'),
        ({"forgetting": {"targets": {"bccd": ["nano_names"]}}}, '"nano_names" is of the task classification'),
        ({"forgetting": {"targets": {"raccoon": ["bccd"]}}}, 'nothing is tuned on "raccoon" there'),
    ],
)
def test_a_grid_that_its_table_cannot_show_is_refused(grids, said):
    with pytest.raises(ConesError, match=said):
        Plan.load("ci", {"grids": grids, "registry": ["config/datasets/classification_miniature.yaml"]})


def test_a_table_of_whatever_there_is_asks_for_no_cell_on_request():
    everything = Plan.load("miniature", {"grids": {"table2": {"on_request": True}}})
    for name in ("efficiency", "per_class"):
        parts = everything.parts_of(OUTPUTS[name])
        assert "table1" in parts and "table2" not in parts and "methods" not in parts
    alone = Plan.load("ci", {"grids": {"table1": {"on_request": True}}})
    assert alone.parts_of(OUTPUTS["efficiency"]) == ("table1",)  # there is nothing else to show
