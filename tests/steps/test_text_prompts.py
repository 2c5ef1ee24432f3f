"""Every text-prompt method through its step: fitted on a tiny drawn set from random weights, scored, read back."""

from pathlib import Path

import pytest
import torch
import yaml

from baselines.text_prompts.tpt import TPT
from cones.evaluation.classification_metrics import read_classification_metrics
from cones.experiment.cell import Plan
from cones.outputs.make import make_output
from cones.runtime.artifacts import load_tensors, read_json
from cones.steps.verify import verify
from tests.steps.tiny_cells import assert_comes_back, prepare

SHORT = {"epochs": 2, "warmup_epochs": 0, "learning_rate": 0.1, "batch_size": 4}
WIDTH, JOINT = 96, 128  # of clip_nano's text encoder, and of the space of both encoders


def short(**options):
    return {"recipe": {**SHORT, "options": options}}


TRAINED = {  # arm -> its recipe, cut short, and how many values train
    "coop": (short(vectors=4), 4 * WIDTH),
    "kgcoop": (short(), 4 * WIDTH),
    "prograd": (short(vectors=12), 12 * WIDTH),
    "subpt": (short(vectors=2, epochs_seen=2, rank=1), 2 * WIDTH),
    "upl": (short(vectors=2, runs=2), 2 * 2 * WIDTH),
    "cocoop": (short(), 4 * WIDTH + (JOINT + 1) * (JOINT // 16) + (JOINT // 16 + 1) * WIDTH),
    "plot": (short(vectors=2, contexts=2), 2 * 2 * WIDTH),
    "plot_pp": (short(), 4 * 4 * WIDTH + 4 * 2 * JOINT),  # the image encoder is as wide as the joint space
    "variational": (short(draws=2), 6 * WIDTH),
    "lasp": (short(), 4 * WIDTH + JOINT + 6 * 2 * 2 * JOINT),  # context, correction, norms of six image blocks
}
HOLES = {"protect": "tree of the classes", "softcpt": "several data sets at once"}
ARMS = {
    "zero_shot": None,
    **{arm: recipe for arm, (recipe, _) in TRAINED.items()},
    "tpt": {"recipe": {"options": {"rate": 0.1}}},
    "tpt-still": {"method": "tpt", "recipe": {"options": {"steps": 0}}},
    **dict.fromkeys(HOLES),
}
FILES = {"state.safetensors", "tuning.json", "predictions.json", "metrics.json"}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The folder the commands run in, with a prepared set, random weights and its features."""
    folder = tmp_path_factory.mktemp("text_prompts")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(TPT, "test_views", 8)  # of 64: the number is all that differs
        grids = {
            "survey": {"datasets": ["shapes"], "shots": [2]},
            "survey_base_to_new": {"setting": "base_to_new", "datasets": ["shapes"], "shots": [2]},
        }
        prepare(folder, "pooled", "patches", datasets=["shapes"], arms=ARMS, seeds=[1], grids=grids)
        yield folder


@pytest.mark.parametrize("arm", TRAINED)
def test_a_cell_trains_and_comes_back_from_its_state(arm, fitted):
    folder, metrics = fitted(arm)
    assert metrics.status == "done" and metrics.targets["shapes"].images == 15
    assert set(read_json(folder / "run.json")["sha256"]) == FILES
    assert metrics.trained.values == TRAINED[arm][1]
    makes_texts_anew = arm in ("cocoop",)
    assert (metrics.trained.text_encoder > 100_000) == makes_texts_anew and metrics.trained.selection == "none"
    assert metrics.trained.labels == ("none" if arm == "upl" else "train")
    runs = read_json(folder / "tuning.json")["runs"]
    assert len(runs) == {"subpt": 2, "upl": 2, "plot_pp": 2}.get(arm, 1) and all(one["steps"] >= 2 for one in runs)

    assert_comes_back(folder, arm)
    recorded, zero_shot = (read_json(one / "predictions.json")["shapes"] for one in (folder, fitted("zero_shot")[0]))
    assert recorded["probability"] != zero_shot["probability"]


def test_each_image_moves_the_context_where_nothing_is_trained(fitted):
    folder, metrics = fitted("tpt")
    assert metrics.trained.values == 0 and metrics.trained.train_images == 0 and metrics.trained.labels == "none"
    assert read_json(folder / "tuning.json")["steps"] == 0
    still = fitted("tpt-still")[0]
    moved, unmoved = (read_json(one / "predictions.json")["shapes"] for one in (folder, still))
    assert moved["probability"] != unmoved["probability"]
    assert torch.equal(*(load_tensors(one / "state.safetensors")[0]["context"] for one in (folder, still)))


@pytest.mark.parametrize("arm", [*TRAINED, "tpt"])
def test_what_was_learnt_serves_classes_without_an_image(arm, fitted):
    folder, metrics = fitted(arm, "shapes-base2")
    assert {key: (one.classes, one.images) for key, one in metrics.targets.items()} == {"base": (2, 10), "new": (1, 5)}
    assert metrics.targets["new"].accuracy == 100.0  # of one class there is one answer
    drawn = read_json(folder / "tuning.json")["train"]
    assert not any("red_disc" in path for path in drawn)


@pytest.mark.parametrize("arm", HOLES)
@pytest.mark.parametrize("setting", ["shapes-2shot", "shapes-base2"])
def test_a_method_that_lacks_its_data_is_a_hole_with_a_reason(arm, setting, fitted):
    folder, metrics = fitted(arm, setting)
    assert metrics.status == "skipped" and HOLES[arm] in metrics.reason and metrics.targets == {}
    assert read_classification_metrics(folder / "metrics.json") == metrics


def test_the_table_names_the_reasons_and_everything_is_as_recorded(fitted):
    for arm in ARMS:
        fitted(arm)
    make_output(Plan.load("tiny"), "survey")
    table = Path("results/tiny/survey.md").read_text()
    assert all(reason in table for reason in HOLES.values()) and "CoCoOp" in table
    found = verify(Path("results"))
    assert found.faults == [] and found.cells >= len(ARMS) and found.tables == 1
    assert found.stale.files == {} and found.stale.not_compared == {}


def test_a_cell_of_another_recipe_is_named_as_stale(world, fitted):
    folder, _ = fitted("coop")
    fitted("kgcoop")
    suite = world / "config/tiny.yaml"
    written = suite.read_text()
    content = yaml.safe_load(written)
    content["classification"]["arms"]["coop"] = short(vectors=5)
    suite.write_text(yaml.safe_dump(content, sort_keys=False))
    try:
        stale = verify(folder.parents[1]).stale.files
    finally:
        suite.write_text(written)
    assert list(stale) == [folder / "run.json"] and "recipe" in stale[folder / "run.json"]
