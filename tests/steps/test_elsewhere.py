"""A tuned detector on other datasets: what belongs to its own classes stays behind, what they share comes along."""

import pytest
import torch

from cones.evaluation.elsewhere import read_elsewhere
from cones.evaluation.metrics import read_metrics
from cones.experiment.cell import Cell, Plan
from cones.experiment.outputs import OUTPUTS
from cones.miniature.archives import draw
from cones.outputs.data_notes import manifests_behind
from cones.outputs.files import read_csv
from cones.outputs.make import make_output
from cones.runtime.artifacts import read_json, write_json
from cones.runtime.errors import ConesError
from cones.runtime.verification import recorded_state
from cones.steps import elsewhere
from cones.steps.collect import collect_grid
from cones.steps.data import fetch_dataset, prepare_dataset
from cones.steps.elsewhere import carried, for_other_classes, score_elsewhere
from cones.steps.evaluate import evaluate_cell
from cones.steps.text import encode_class_names
from cones.steps.tune import state_file, tune_cell
from cones.steps.verify import verify
from cones.steps.weights import make_weights
from cones.training.state import State
from tests.made import made_by

MODEL, OWN = "glip_nano", "raccoon"
OTHERS = ("pistols", "bccd")  # of one class, as its own, and of three
CARRIED = {
    "zero_shot": "nothing",
    "linear_probing": "weights",
    "textual_inversion": "nothing",
    "coop": "prompt",
    "cocoop": "prompt",
    "clip_adapter": "prompt",
    "taskres": "nothing",
    "cones": "nothing",
    "full_finetuning": "weights and prompt",
    "cones_finetuned": "weights",
}
USUAL = "vehicles_openimages"  # of the suite, whose targets are laid under these
OVERRIDES = {
    "grids": {
        "forgetting": {
            "models": [MODEL],
            "datasets": [OWN],
            "arms": list(CARRIED),
            "targets": {OWN: list(OTHERS), USUAL: []},
        }
    },
    "tuning": {"max_epochs": 1, "max_steps": 2, "warmup_steps": 0},
    "pictures": 8,
    "feature_cache_gb": 0,
}


def cell_of(arm, dataset=OWN):
    return Cell("miniature", MODEL, dataset, arm, 0)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The suite `miniature`, cut to a few pictures and two steps, and a folder in which all cells are scored."""
    loaded = Plan.load("miniature", OVERRIDES)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder := tmp_path_factory.mktemp("world"))
        make_weights(loaded, MODEL)
        for dataset in (OWN, *OTHERS):
            draw(loaded.registry[dataset], loaded.suite.data_dir)
            fetch_dataset(loaded, dataset)
            prepare_dataset(loaded, dataset)
            encode_class_names(loaded, MODEL, dataset)
        for cell in sorted(loaded.cells("forgetting"), key=lambda cell: cell.arm == "cones_finetuned"):
            tune_cell(loaded, cell)
            evaluate_cell(loaded, cell)
            score_elsewhere(loaded, cell)
        made_by(loaded)
    return loaded, folder


@pytest.fixture(scope="module")
def fewer():
    """The same plan, of which one other dataset was taken out."""
    grid = {**OVERRIDES["grids"]["forgetting"], "targets": {OWN: ["bccd"], USUAL: []}}
    return Plan.load("miniature", {**OVERRIDES, "grids": {"forgetting": grid}})


def found(arm):
    return read_elsewhere(cell_of(arm).folder / "elsewhere.json")


def state_of(arm):
    return State.load(state_file(cell_of(arm)), recorded_state(cell_of(arm).folder))


@pytest.mark.parametrize("arm", CARRIED)
def test_what_other_classes_meet(plan, arm):
    assert found(arm).carried == CARRIED[arm] == carried(plan, cell_of(arm), state_of(arm))
    assert set(found(arm).datasets) == set(OTHERS)
    assert all(score.ap is not None and score.images == 8 for score in found(arm).datasets.values())


def test_zero_shot_elsewhere_is_zero_shot_there(plan):
    for dataset in OTHERS:
        there = cell_of("zero_shot", dataset)
        tune_cell(plan, there)
        evaluate_cell(plan, there)
        assert found("zero_shot").datasets[dataset].ap == read_metrics(there.folder / "metrics.json").scores["bbox"].ap


@pytest.mark.parametrize("arm", [arm for arm, what in CARRIED.items() if what == "nothing"])
def test_where_nothing_is_carried_the_base_model_was_scored(plan, arm):
    assert found(arm).datasets == found("zero_shot").datasets


@pytest.mark.parametrize("arm", [arm for arm, what in CARRIED.items() if "weights" in what])
def test_tuned_weights_are_those_of_the_state(plan, arm):
    state = state_of(arm)
    there = for_other_classes(plan, cell_of(arm), state, "bccd", torch.device("cpu"))
    values = there.model.state_dict()
    tuned = {name.removeprefix("model."): value for name, value in state.trained.items() if name.startswith("model.")}
    assert tuned and all(torch.equal(values[name], value) for name, value in tuned.items())
    assert there.prompt.without_images().class_positions.shape[1] == 3


@pytest.mark.parametrize("arm", [arm for arm, what in CARRIED.items() if "prompt" in what])
def test_what_a_prompt_learned_stands_beside_the_other_names(plan, arm):
    state = state_of(arm)
    there = for_other_classes(plan, cell_of(arm), state, "bccd", torch.device("cpu"))
    values = there.prompt.state_dict()
    learned = {name.removeprefix("prompt."): v for name, v in state.trained.items() if name.startswith("prompt.")}
    assert learned and all(torch.equal(values[name], value) for name, value in learned.items())


def test_class_vectors_that_happen_to_fit_are_not_taken_for_another_class(plan):
    """Raccoons and pistols are one class each: vectors of the one have the shape of the other's."""
    there = for_other_classes(plan, cell_of("cones"), state_of("cones"), "pistols", torch.device("cpu"))
    names = for_other_classes(plan, cell_of("zero_shot"), state_of("zero_shot"), "pistols", torch.device("cpu"))
    assert torch.equal(there.prompt.without_images().hidden, names.prompt.without_images().hidden)
    own = state_of("cones").language.hidden
    assert own.shape == there.prompt.without_images().hidden.shape and not torch.equal(
        own, there.prompt.without_images().hidden
    )


def test_an_added_module_that_says_nothing_of_other_classes_is_a_hole_with_a_reason(plan):
    state = state_of("linear_probing")
    state.trained["model.adapter.weight"] = torch.zeros(1)
    score = elsewhere._score(plan, cell_of("linear_probing"), state, "bccd")
    assert score.ap is None and "adds adapter.weight to the detector" in score.reason


def test_the_table_is_made_and_changes_are_against_zero_shot(plan):
    collect_grid(plan, "forgetting")
    csv, *_ = make_output(plan, "forgetting")
    rows = {row["arm"]: row for row in read_csv(csv)[1]}
    assert set(manifests_behind(plan, OUTPUTS["forgetting"])) == {
        plan.data_folder(name) / "manifest.json" for name in (OWN, *OTHERS)
    }
    assert list(rows) == list(CARRIED) and not any(row["notes"] for row in rows.values())
    assert all(float(rows["cones"][f"{name}_change"]) == 0 for name in (*OTHERS, "others"))
    tuned, base = rows["full_finetuning"], rows["zero_shot"]
    assert float(tuned["others_change"]) == pytest.approx(
        float(tuned["others_ap"]) - float(base["others_ap"]), abs=1e-3
    )


def test_scores_of_another_state_or_of_other_datasets_are_refused(fewer, plan):
    path = cell_of("cones").folder / "elsewhere.json"
    whole = read_json(path)
    write_json(path, {**whole, "state_sha256": "0" * 64})
    made_by(plan)
    with pytest.raises(ConesError, match="is of another state of the cell"):
        make_output(plan, "forgetting")
    assert "is of another state" in str(verify(cell_of("cones").folder).faults)
    write_json(path, whole)
    assert not verify(cell_of("cones").folder).faults
    made_by(plan)
    with pytest.raises(ConesError, match="stale: datasets was"):
        make_output(fewer, "forgetting")
