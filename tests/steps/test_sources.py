"""An arm that starts from trainings on other data sets: which cells it reads, what it takes, where it cannot."""

import pytest
import torch
import yaml

from cones.experiment.cell import Plan
from cones.experiment.classification import Classification
from cones.experiment.classification_cells import cells_before, classification_cell, settings_of
from cones.experiment.pipeline import Pipeline
from cones.runtime.artifacts import load_tensors, read_json
from cones.runtime.sources import ROOT
from tests.steps.tiny_cells import encode, fit, made_again, run
from tests.tiny_sets import draw_set, entry, tiny_suite, write_tiny

SHORT = {"epochs": 1, "warmup_epochs": 0, "learning_rate": 0.1, "batch_size": 4, "options": {"vectors": 2}}
SOURCES, TARGET = ["shapes", "dark_shapes"], "grey_shapes"
STARTED = {"method": "mvlpt", "start_from": {"arm": "mvlpt_tasks", "group": "others"}, "recipe": SHORT}


def suite(**changes):
    return {
        "arms": {"mvlpt_tasks": {"recipe": SHORT}, "mvlpt-started": STARTED},
        "datasets": [*SOURCES, TARGET],
        "seeds": [1, 2],
        "source_groups": {"others": SOURCES},
        "grids": {"survey": {"datasets": [TARGET, "shapes"], "arms": ["mvlpt-started"], "shots": [2]}},
        **changes,
    }


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sources")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "datasets.yaml").symlink_to(ROOT / "datasets.yaml")
        write_tiny(folder, **suite())
        draw_set(folder / "own" / TARGET, background="grey")
        sets = folder / "config/tiny_sets.yaml"
        sets.write_text(sets.read_text() + yaml.safe_dump({TARGET: entry(f"own/{TARGET}")}))
        for name in (*SOURCES, TARGET):
            for step in ("fetch", "prepare"):
                run(step, "--dataset", name)
        run("weights", "--model", "clip_nano")
        for name in (*SOURCES, TARGET):
            encode("pooled", dataset=name)
        for seed in (1, 2):
            fit("mvlpt_tasks", "others-joint2", seed)
        yield folder


def cell(dataset):
    plan = Plan.load("tiny")
    return plan, classification_cell(plan, "clip_nano", f"{dataset}-2shot", "mvlpt-started", 1)


def test_the_vectors_start_as_the_mean_of_the_sources_over_their_seeds(fitted):
    plan, started = cell(TARGET)
    contexts = [load_tensors(one.folder / "state.safetensors")[0]["context"] for one in cells_before(plan, started)]
    assert len(contexts) == 2 and not torch.equal(*contexts)
    assert torch.equal(made_again("mvlpt-started", f"{TARGET}-2shot").classifier.context, torch.stack(contexts).mean(0))
    folder, metrics = fitted("mvlpt-started", f"{TARGET}-2shot")
    assert metrics.targets[TARGET].accuracy is not None and metrics.trained.values == 2 * 96
    note = metrics.trained.note
    assert "shapes, dark_shapes (seeds 1, 2)" in note and "vectors 2 (default 16)" in note
    read = read_json(folder / "run.json")["inputs_sha256"]
    assert sum("others-joint2" in name for name in read) == 2


def test_a_set_that_the_sources_have_seen_is_a_hole(fitted):
    metrics = fitted("mvlpt-started", "shapes-2shot")[1]
    assert metrics.status == "skipped" and "of which this data set is a part" in metrics.reason


def test_the_states_of_the_sources_are_inputs_and_the_group_a_setting(world, monkeypatch):
    monkeypatch.chdir(world)
    plan, started = cell(TARGET)
    pipeline = Pipeline(plan)
    read = pipeline.inputs(pipeline.job_of("classify", started))["sources"]
    states = [one.folder / "state.safetensors" for one in cells_before(plan, started)]
    assert [pipeline.path(one) for one in read] == states and len(states) == 2
    assert settings_of(plan, started)["sources"] == {seed: ["mvlpt_tasks", *SOURCES] for seed in ("1", "2")}


NOT_JOINT = {**STARTED, "start_from": {"arm": "coop", "group": "others"}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source_groups": {"other": SOURCES}}, 'no group "others"'),
        ({"source_groups": {"others": ["shapes"]}}, "one dataset is no group"),
        ({"source_groups": {"others": SOURCES}, "joint": {"others": SOURCES}}, "take another one"),
        (
            {"arms": {"coop": None, "mvlpt-started": NOT_JOINT}},
            "no arm",
        ),
        ({"arms": {"coop": {"start_from": STARTED["start_from"]}}}, '"coop" starts from no training on other data'),
    ],
)
def test_a_start_that_is_not_there_is_refused(changes, message):
    section = tiny_suite(**suite(**changes))["classification"]
    with pytest.raises(ValueError, match=message):
        Classification.model_validate(section)
