"""One training for several data sets: their cells take what it learnt, and do not train again."""

from pathlib import Path

import pytest
import torch
import yaml

from cones.experiment.cell import Plan
from cones.experiment.classification_cells import classification_cell
from cones.experiment.pipeline import Pipeline
from cones.outputs.make import make_output
from cones.runtime.artifacts import load_tensors, read_json
from cones.runtime.sources import ROOT
from cones.steps.classify import CellFit
from cones.steps.joint_cell import JointFit
from cones.steps.verify import verify
from tests.steps.tiny_cells import encode, fit, run
from tests.tiny_sets import tiny_suite, write_tiny

SHORT = {"epochs": 3, "warmup_epochs": 0, "learning_rate": 0.1, "batch_size": 4}
OPTIONS = {"vectors": 2, "inner_vectors": 2}
ARMS = {"zero_shot": None, "softcpt": {"recipe": {**SHORT, "options": OPTIONS}}}
SETS = ["shapes", "dark_shapes"]
WIDTH, JOINT = 96, 128  # of clip_nano's text encoder, and of the space of both encoders


def suite(**changes) -> dict:
    grids = {
        "survey": {"datasets": SETS, "shots": [2]},
        "survey_base_to_new": {"setting": "base_to_new", "datasets": ["shapes"], "shots": [2]},
        "survey_shift": {"targets": {"shapes": ["dark_shapes"]}, "shots": [2], "arms": ["softcpt"]},
    }
    known = {"arms": ARMS, "datasets": SETS, "seeds": [1], "grids": grids, "joint": {"both": SETS}}
    return known | changes


def write_suite(folder, **changes) -> None:
    content = tiny_suite(**suite(**changes))
    (folder / "config/tiny.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("joint")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        (folder / "datasets.yaml").symlink_to(ROOT / "datasets.yaml")
        write_tiny(folder, **suite())
        for name in SETS:
            for step in ("fetch", "prepare"):
                run(step, "--dataset", name)
        run("weights", "--model", "clip_nano")
        for name in SETS:
            encode("pooled", dataset=name)
        for setting in ("both-joint2", "shapes-2shot", "dark_shapes-2shot"):
            fit("softcpt", setting)
        for name in SETS:
            fit("zero_shot", f"{name}-2shot")
        yield folder


@pytest.fixture(autouse=True)
def _there(world, monkeypatch):
    monkeypatch.chdir(world)


def cell(setting, arm="softcpt"):
    plan = Plan.load("tiny")
    return plan, classification_cell(plan, "clip_nano", setting, arm, 1)


def test_the_joint_cell_trains_on_the_images_of_both_data_sets():
    plan, joint = cell("both-joint2")
    record = read_json(joint.folder / "tuning.json")
    assert record["runs"][0]["steps"] == 3 * 3  # 12 images in batches of 4
    assert {path.split("/")[0] for path in record["train"]} == set(SETS)
    again = JointFit(plan, joint)
    assert [task.classes for task in again.inputs.tasks] == [3, 3] and len(again.inputs.names) == 6
    assert again.inputs.train.labels.tolist() == sorted(again.inputs.train.labels.tolist())
    alone = CellFit(*cell("dark_shapes-2shot", "zero_shot"))
    # the second data set's images are those that its own cells draw, its labels come after the first's
    assert torch.equal(again.inputs.train.features.pooled[6:], alone.inputs.train.features.pooled)
    assert torch.equal(again.inputs.train.labels[6:], alone.inputs.train.labels + 3)


@pytest.mark.parametrize("name", SETS)
def test_a_data_sets_cell_scores_what_the_joint_one_learnt(name):
    _, joint = cell("both-joint2")
    _, own = cell(f"{name}-2shot")
    state, _ = load_tensors(own.folder / "state.safetensors")
    assert state == {}  # the vectors lie in one place
    metrics = read_json(own.folder / "metrics.json")
    assert metrics["trained"]["values"] == 2 * WIDTH + JOINT * 2 * WIDTH
    assert "one training for shapes, dark_shapes" in metrics["trained"]["note"]
    found, expected = (read_json(one.folder / "predictions.json")[name] for one in (own, joint))
    assert found == expected and len(found["predicted"]) == 15
    zero_shot = read_json(cell(f"{name}-2shot", "zero_shot")[1].folder / "predictions.json")[name]
    assert found["probability"] != zero_shot["probability"]


def test_the_state_is_an_input_of_each_data_sets_job():
    plan, own = cell("shapes-2shot")
    _, joint = cell("both-joint2")
    pipeline = Pipeline(plan)
    inputs = pipeline.inputs(pipeline.job_of("classify", own))
    assert pipeline.path(inputs["joint"]) == joint.folder / "state.safetensors"
    assert not pipeline.inputs(pipeline.job_of("classify", joint)).get("joint")


def test_a_shifted_copy_is_scored_by_the_columns_of_its_own_data_set():
    found = read_json(cell("shapes-2shot")[1].folder / "predictions.json")
    assert set(found) == {"shapes", "dark_shapes"} and found["dark_shapes"]["classes"] == found["shapes"]["classes"]
    other = read_json(cell("dark_shapes-2shot")[1].folder / "predictions.json")["dark_shapes"]
    assert found["dark_shapes"]["probability"] != other["probability"]  # of the task dark_shapes


def test_base_to_new_is_a_hole_with_its_reason():
    _, metrics = fit("softcpt", "shapes-base2")
    assert metrics.status == "skipped" and "several data sets at once" in metrics.reason


def test_everything_is_as_recorded_and_the_table_says_which_sets_were_one_training():
    make_output(Plan.load("tiny"), "survey")
    assert "one training for shapes, dark_shapes" in Path("results/tiny/survey.md").read_text()
    found = verify(Path("results"))
    assert found.faults == [] and found.stale.files == {} and found.stale.not_compared == {}


def test_an_edit_of_the_group_makes_the_training_and_its_data_sets_stale(world):
    write_suite(world, joint={"both": SETS[::-1]})
    try:
        stale = {str(file.parent.parent.parent.name) for file in verify(world / "results").stale.files}
    finally:
        write_suite(world)
    assert {"both-joint2", "shapes-2shot", "dark_shapes-2shot"} <= stale


@pytest.mark.parametrize(
    ("joint", "fault"),
    [
        ({"both": ["shapes"]}, "one dataset is no group"),
        ({"both": ["shapes", "other"]}, 'dataset "other" is not in the section'),
        ({"shapes": SETS}, "a dataset has this name"),
        ({"a": SETS, "b": SETS}, "named twice"),
    ],
)
def test_a_group_that_is_none_is_refused(joint, fault, world):
    write_suite(world, joint=joint)
    try:
        with pytest.raises(Exception, match=fault):
            Plan.load("tiny")
    finally:
        write_suite(world)
