"""Visual prompts, DPT, CLIP-LoRA and WiSE-FT through their step: fitted on a tiny drawn set, scored, read back."""

from pathlib import Path

import pytest
import torch

from cones.experiment.cell import Plan
from cones.outputs.make import make_output
from cones.runtime.artifacts import load_tensors, read_json
from cones.steps.score_classifier import score
from cones.steps.verify import verify
from tests.steps.tiny_cells import answers, assert_comes_back, made_again, prepare

SHORT = {"epochs": 2, "warmup_epochs": 0, "learning_rate": 0.1, "batch_size": 4}
SIDE, WIDTH, TEXT, JOINT, BLOCKS = 64, 128, 96, 128, 6  # of clip_nano
FRAME = 9  # 30 of 224 pixels
CLASS_AWARE = (JOINT + 1) * WIDTH + 2 * 32 * WIDTH + WIDTH * WIDTH + 4 * WIDTH + 3 * WIDTH + 10 * WIDTH


def short(method=None, rate=0.1, **options):
    named = {"method": method} if method else {}
    return {**named, "recipe": {**SHORT, "learning_rate": rate, "options": options}}


TRAINED = {  # arm -> its recipe, cut short, and how many values train
    "vp": (short(rate=40.0), 3 * 4 * FRAME * (SIDE - FRAME)),
    "vp-anywhere": (short("vp", rate=40.0, form="random_patch"), 3 * FRAME**2),
    "vpt_deep": (short(), BLOCKS * 16 * WIDTH),
    "vpt_deep-maple": (short("vpt_deep", form="maple"), BLOCKS * 8 * WIDTH),
    "reprompt": (short(tokens=4), BLOCKS * 4 * WIDTH),
    "dpt": (short(vectors=2, tokens=2), 2 * TEXT + (BLOCKS - 1) * 2 * WIDTH + CLASS_AWARE),
    "clip_lora": ({"recipe": {**SHORT, "max_steps": 4, "epochs": 9}}, 3 * 2 * 2 * (BLOCKS * WIDTH + 4 * TEXT)),
}
NEW_CLASSES = [arm for arm in TRAINED if arm not in ("reprompt", "dpt")]
WISE = {
    "wise_ft": {"recipe": {**SHORT, "options": {}}},
    "wise_ft_full": {"recipe": {**SHORT, "learning_rate": 1e-3, "options": {"points": 5}}},
}
ARMS = {"zero_shot": None, **{arm: recipe for arm, (recipe, _) in TRAINED.items()}, **WISE}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The folder the commands run in, with prepared sets, random weights and their features."""
    folder = tmp_path_factory.mktemp("visual_prompts")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        grids = {
            "survey": {"datasets": ["shapes"], "shots": [2]},
            "survey_base_to_new": {"setting": "base_to_new", "datasets": ["shapes"], "shots": [2]},
            "survey_wise_ft": {"targets": {"shapes": ["dark_shapes"]}, "shots": [2], "arms": list(WISE)},
        }
        prepare(folder, "pooled", datasets=["shapes", "dark_shapes"], arms=ARMS, seeds=[1], grids=grids)
        yield folder


@pytest.mark.parametrize("arm", TRAINED)
def test_a_cell_trains_and_comes_back_from_its_state(arm, fitted):
    folder, metrics = fitted(arm)
    assert metrics.status == "done" and metrics.targets["shapes"].images == 15
    assert metrics.trained.values == TRAINED[arm][1]
    assert metrics.trained.text_encoder == 0 and metrics.trained.selection == "none"  # class vectors are enough
    assert metrics.trained.stored_bytes < 1_000_000  # the encoder's own weights are not kept
    assert read_json(folder / "tuning.json")["steps"] == 4
    assert_comes_back(folder, arm)


@pytest.mark.parametrize("arm", TRAINED)
def test_classes_without_an_image_have_an_answer_or_a_reason(arm, fitted):
    targets = fitted(arm, "shapes-base2")[1].targets
    assert targets["base"].accuracy is not None
    assert (targets["new"].accuracy is not None) == (arm in NEW_CLASSES)
    assert arm in NEW_CLASSES or "no entry" in targets["new"].reason


def test_a_phase_ends_where_its_epochs_do(fitted):
    state, _ = load_tensors(fitted("dpt")[0] / "state.safetensors")
    assert state["step"] == 4


def test_wise_ft_shows_every_share_on_its_own_and_on_shifted_images(world, fitted):
    for arm in WISE:
        _, metrics = fitted(arm)
        assert set(metrics.targets) == {"shapes", "dark_shapes"}
        taken = metrics.trained.chosen["alpha"]
        for name, target in metrics.targets.items():
            curve = {point.at: point.accuracy for point in target.curve}
            points = 11 if arm == "wise_ft" else 5
            assert list(curve) == [step / (points - 1) for step in range(points)] and curve[taken] == target.accuracy
            zero_shot = score(made_again(arm), *shot_of(arm, name)).predictions
            right = [a == b for a, b in zip(zero_shot["predicted"], zero_shot["labels"])]
            assert curve[0.0] == pytest.approx(100 * sum(right) / len(right), abs=1e-3)
    assert metrics.trained.chosen == {"alpha": 0.5}  # of the whole model nothing is chosen
    assert all(target.curve == () for target in fitted("vp")[1].targets.values())
    assert fitted("wise_ft", "shapes-base2")[1].targets["base"].curve == ()  # of a grid that shows none
    make_output(Plan.load("tiny"), "survey_wise_ft")
    table = Path("results/tiny/survey_wise_ft.md").read_text()
    assert "dark_shapes" in table and "never on test" in table
    assert Path("results/tiny/survey_wise_ft.png").stat().st_size > 5000
    found = verify(Path("results"))
    assert found.faults == [] and found.stale.files == {} and found.tables >= 1


def shot_of(arm, name):
    """(target, classifier before its fit, columns, reason)."""
    again = made_again(arm)
    target = next(target for target, _ in again.targets() if target.key == name)
    return target, again.classifier, None, None


def test_the_mixture_in_the_state_is_the_one_that_was_taken(fitted):
    """Scoring every share leaves the classifier as it was: its answers are those of the state."""
    folder, _ = fitted("wise_ft_full")
    again = made_again("wise_ft_full")
    state, _ = load_tensors(folder / "state.safetensors")
    again.classifier.load_state_dict(state, strict=False)
    assert answers(again) == read_json(folder / "predictions.json")["shapes"]
    start = made_again("wise_ft_full").classifier.encoder.visual.conv1.weight
    assert not torch.equal(state["encoder.visual.conv1.weight"], start)
