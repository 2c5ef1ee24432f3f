"""Prompts of both encoders through their step: fitted on a tiny drawn set, scored, read back."""

import pytest

from cones.runtime.artifacts import load_tensors, read_json
from cones.runtime.errors import ConesError
from tests.steps.tiny_cells import assert_comes_back, prepare

SHORT = {"epochs": 2, "warmup_epochs": 0, "learning_rate": 0.01, "batch_size": 4}
W, D, BLOCKS = 96, 128, 6  # of clip_nano: its text rows, its image rows, image blocks


def short(method=None, **options):
    named = {"method": method} if method else {}
    return {**named, "recipe": {**SHORT, "options": options}}


UNIFIED = 12 * D * D + 13 * D + W * D + D + D * W + W  # block and text layers; image rows are as wide as the block
TRAINED = {  # arm -> its recipe, cut short, and how many values train
    "maple": (short(depth=3), 3 * 2 * W + 3 * (W * D + D)),
    "ivlp": (short(depth=3), 3 * 4 * (W + D)),
    "ivlp-maple": (short("ivlp", form="maple", depth=4), 4 * 2 * (W + D)),
    "promptsrc": (short(depth=3), 3 * 4 * (W + D)),
    "upt": (short(), 4 * W + BLOCKS * 4 * D + UNIFIED),
    "upt-paper": (short("upt", form="paper"), 4 * W + BLOCKS * 4 * D + UNIFIED),
    "mvlpt": (short(vectors=4), 4 * W),
}
TOO_DEEP = {"maple-deep": short("maple")}
ARMS = {"zero_shot": None, **{arm: recipe for arm, (recipe, _) in TRAINED.items()}, **TOO_DEEP}
TASKS = {"mvlpt_tasks": short(vectors=4)}
SETS = ["shapes", "dark_shapes"]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The folder the commands run in, with prepared sets, random weights and their features."""
    folder = tmp_path_factory.mktemp("joint_prompts")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        grids = {
            "survey": {"datasets": SETS, "shots": [2]},
            "survey_base_to_new": {
                "setting": "base_to_new",
                "datasets": ["shapes"],
                "shots": [2],
                "arms": [*ARMS],
            },
        }
        suite = {"arms": {**ARMS, **TASKS}, "seeds": [1], "grids": grids, "joint": {"both": SETS}}
        prepare(folder, "pooled", datasets=SETS, **suite)
        yield folder


@pytest.mark.parametrize("arm", TRAINED)
def test_a_cell_trains_and_comes_back_from_its_state(arm, fitted):
    folder, metrics = fitted(arm)
    assert metrics.status == "done" and metrics.targets["shapes"].images == 15
    assert metrics.trained.values == TRAINED[arm][1]
    assert metrics.trained.text_encoder == 0 and metrics.trained.selection == "none"
    assert metrics.trained.stored_bytes == 4 * TRAINED[arm][1]  # what trained, and nothing else
    assert read_json(folder / "tuning.json")["steps"] == 4
    assert_comes_back(folder, arm)


@pytest.mark.parametrize("arm", TRAINED)
def test_classes_without_an_image_are_answered(arm, fitted):
    targets = fitted(arm, "shapes-base2")[1].targets
    assert targets["base"].accuracy is not None and targets["new"].accuracy is not None


def test_more_blocks_than_the_model_has_end_in_one_line_that_says_what_to_write(fitted):
    with pytest.raises(ConesError, match=r"1 to 4.*depth: 3") as found:
        fitted("maple-deep")
    assert len(str(found.value)) < 400


def test_several_data_sets_are_one_training(fitted):
    folder, metrics = fitted("mvlpt_tasks", "both-joint2")
    state, _ = load_tensors(folder / "state.safetensors")
    assert set(state) == {"context"} and state["context"].shape == (4, W)
    assert set(metrics.targets) == set(SETS)
    own = fitted("mvlpt_tasks", "shapes-2shot")[1]
    assert own.targets["shapes"].accuracy is not None and "dark_shapes" in own.trained.note
