"""A prompt that looks at the image, from tuning to scores: its language differs from image to image, and scoring hears
what the prompt in memory said."""

import made_up_methods
import pytest
import torch

from cones.data.batches import View, batch_of
from cones.data.pyramids import LivePyramids
from cones.evaluation.metrics import read_metrics
from cones.evaluation.prediction import predict
from cones.evaluation.predictions import read_predictions
from cones.experiment.cell import Plan
from cones.experiment.suite import load_suite
from cones.miniature.archives import draw
from cones.outputs.analysis.embeddings import Embeddings, class_vectors
from cones.outputs.analysis.names import TOGETHER
from cones.runtime.artifacts import read_json
from cones.runtime.errors import ConesError
from cones.steps import tune
from cones.steps.data import fetch_dataset, prepare_dataset
from cones.steps.embed import embed_cell
from cones.steps.evaluate import evaluate_cell
from cones.steps.predict import predict_pictures
from cones.steps.tune import open_split, state_file, tune_cell
from cones.steps.tuned import load_tuned
from cones.steps.weights import make_weights
from cones.training.state import State

MODEL, DATASET, CPU = "glip_nano", "raccoon", torch.device("cpu")
ARMS = ("conditional", "prompt_tuning", "cones")
OVERRIDES = {
    "grids": {"table1": {"models": [MODEL], "datasets": [DATASET], "arms": ARMS}},
    "tuning": {"max_epochs": 2, "shots": 4},
    "models": {
        MODEL: {"start_std": {"cones": 1.0}}
    },  # not measured on the class names' states, which no step makes here
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """{arm: cell} tuned and scored, with the tuners as they were at the end of tuning, in a folder of their own."""
    tuners = {}

    class Kept(tune.Tuner):
        def run(self):
            tuners[self.checkpoint.path.parent] = self
            return super().run()

    with pytest.MonkeyPatch.context() as patch:
        made_up_methods.register(patch, "conditional", "ConditionalPromptTuning", inputs=("text_encoder",))
        arms = {name: arm.model_dump(exclude_unset=True) for name, arm in load_suite("miniature").arms.items()}
        plan = Plan.load("miniature", {**OVERRIDES, "arms": {**arms, "conditional": {"learning_rate": 0.01}}})
        patch.chdir(folder := tmp_path_factory.mktemp("world"))
        patch.setattr(tune, "Tuner", Kept)
        draw(plan.registry[DATASET], plan.suite.data_dir)
        fetch_dataset(plan, DATASET)
        prepare_dataset(plan, DATASET)
        make_weights(plan, MODEL)
        cells = {cell.arm: cell for cell in plan.cells("table1")}
        for cell in cells.values():
            tune_cell(plan, cell)
            evaluate_cell(plan, cell)
            embed_cell(plan, cell)
        yield plan, cells, {arm: tuners[cell.folder] for arm, cell in cells.items()}, folder


@pytest.fixture
def conditional(world, monkeypatch):
    """(plan, cell, tuner, state) of the prompt that looks at the image."""
    plan, cells, tuners, folder = world
    monkeypatch.chdir(folder)
    cell = cells["conditional"]
    return plan, cell, tuners["conditional"], State.load(state_file(cell))


def pyramid_of(model, split, index):
    with torch.no_grad():
        sample = split.sample(View(index, model.preprocessing.short_side), at_test=True)
        return model.encode_image(batch_of([sample]))


@pytest.mark.parametrize("arm", ARMS)
def test_a_persons_own_picture_is_heard_as_in_scoring(world, monkeypatch, tmp_path, arm):
    plan, cells, _, folder = world
    monkeypatch.chdir(folder)
    image = read_json(plan.data_folder(DATASET) / "test.json")["images"][0]
    picture = plan.data_folder(DATASET) / "raw" / image["file_name"]
    (found,) = predict_pictures(plan, cells[arm], [picture], out=tmp_path, threshold=0.0).pictures
    scored = read_predictions(cells[arm].folder / "predictions.json")
    scores = [result["score"] for result in scored if result["image_id"] == image["id"]]
    assert scores and [result["score"] for result in found.results] == pytest.approx(scores, abs=1e-4)


def test_it_learns_and_is_scored(conditional):
    _, cell, tuner, state = conditional
    assert set(tuner.trained) == {f"prompt.net.{place}.{kind}" for place in (0, 2) for kind in ("weight", "bias")}
    history = read_json(cell.folder / "tuning.json")["history"]
    assert sum(history[-1]["losses"].values()) < sum(history[0]["losses"].values())
    assert set(state.trained) == set(tuner.trained) and state.language is None
    assert read_metrics(cell.folder / "metrics.json").status == "done"


def test_what_is_replayed_is_what_was_in_memory(conditional):
    plan, cell, tuner, state = conditional
    tuned = load_tuned(plan, cell, state, CPU)
    split = open_split(plan, cell, "test", tuned.model)
    hidden = []
    for index in range(3):
        pyramid = pyramid_of(tuned.model, split, index)
        with torch.no_grad():
            again, before = tuned.prompt.for_images(pyramid), tuner.prompt.for_images(pyramid)
        assert torch.equal(again.hidden, before.hidden)
        hidden.append(again.hidden)
    assert not torch.equal(hidden[0], hidden[1]) and not torch.equal(hidden[1], hidden[2])
    live = LivePyramids(tuner.model, CPU)
    assert predict(tuner.model, tuner.prompt, split, live, label="test") == read_json(cell.folder / "predictions.json")


def test_validation_heard_the_prompt_of_its_epoch(conditional):
    _, cell, tuner, _ = conditional
    record = read_json(cell.folder / "tuning.json")
    assert tuner._validation_ap() == record["best_val_ap"]


def test_who_needs_the_text_encoder_at_test_time_pays_for_it(world, monkeypatch):
    _, cells, tuners, folder = world
    monkeypatch.chdir(folder)
    cost = {arm: read_json(cell.folder / "run.json")["inference"] for arm, cell in cells.items()}
    encoder = sum(parameter.numel() for parameter in tuners["conditional"].prompt.text_encoder.parameters())
    net = sum(parameter.numel() for parameter in tuners["conditional"].prompt.net.parameters())
    assert {arm: one["text_encoder_parameters"] for arm, one in cost.items()} == {
        "conditional": encoder,
        "prompt_tuning": 0,
        "cones": 0,
    }
    assert cost["conditional"]["parameters"] == cost["cones"]["parameters"] + encoder + net
    assert cost["prompt_tuning"]["parameters"] == cost["cones"]["parameters"]
    counted = read_json(cells["conditional"].folder / "tuning.json")["parameters"]["used"]
    detector = sum(parameter.numel() for parameter in tuners["conditional"].model.parameters())
    assert counted == {"trained": net, "total": detector + encoder + net, "text_encoder": encoder}


def test_what_a_text_encoder_would_add_to_each_image_is_measured_where_one_is_left_out(world, monkeypatch):
    _, cells, _, folder = world
    monkeypatch.chdir(folder)
    took = {arm: read_json(cell.folder / "tuning.json")["language_seconds"] for arm, cell in cells.items()}
    assert took["conditional"] is None and took["prompt_tuning"] > 0 and took["cones"] is not None


def test_a_static_prompt_is_stored_as_language_alone(world, monkeypatch):
    _, cells, _, folder = world
    monkeypatch.chdir(folder)
    for arm in ("prompt_tuning", "cones"):
        state = State.load(state_file(cells[arm]))
        assert state.remake is None and state.language is not None and set(state.trained) == {"prompt.vectors"}


def test_its_class_vectors_are_the_mean_over_the_test_images(conditional):
    plan, cell, tuner, _ = conditional
    split = open_split(plan, cell, "test", tuner.model)
    each = []
    for index in range(len(split)):
        with torch.no_grad():
            each.append(class_vectors(tuner.prompt.for_images(pyramid_of(tuner.model, split, index))))
    found = Embeddings.load(cell.folder / "embeddings.safetensors").classes[TOGETHER]
    torch.testing.assert_close(found, torch.stack(each).mean(dim=0))


def test_a_prompt_is_not_made_again_of_what_has_changed(conditional):
    plan, cell, _, state = conditional
    manifest = plan.data_folder(DATASET) / "manifest.json"
    content = manifest.read_bytes()
    try:
        manifest.write_bytes(content + b"\n")
        with pytest.raises(ConesError, match=r"manifest\.json: has changed since the cell was tuned.*tune this cell"):
            load_tuned(plan, cell, state, CPU)
    finally:
        manifest.write_bytes(content)


def test_stage_two_cannot_fix_what_differs_from_image_to_image(conditional, monkeypatch):
    plan, cell, _, _ = conditional
    monkeypatch.setattr(Plan, "stage1", lambda self, other: cell)
    with pytest.raises(ConesError, match=r"holds no language features: the prompt of stage 1 looks at the image"):
        tune.gather(plan, plan.cell(cell.model, cell.dataset, "cones_finetuned", cell.seed))
