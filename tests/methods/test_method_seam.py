"""What a method may add, each by a small made-up method: its effect, its exactness, and that it survives."""

import made_up_methods as made_up
import pytest
import torch
from toy import ToyDetector, ToySegmenter

from cones.data.batches import Split, View
from cones.data.pyramids import LivePyramids
from cones.evaluation import validation
from cones.evaluation.prediction import predict
from cones.experiment.cell import Cell, Plan
from cones.methods.method import METHODS, MethodEntry, PromptInputs, TuningMethod
from cones.models.additions import add_module
from cones.runtime.errors import ConesError
from cones.steps.tune import _reason_not_zero_shot as not_zero_shot
from cones.steps.tune import _reason_to_skip, state_of
from cones.training.checkpoint import Checkpoint
from cones.training.state import Remake, State
from cones.training.tuner import Tuner
from tests.training.test_tuning import PHRASES, cell_settings, data, states_equal  # noqa: F401 (data is a fixture)

CPU = torch.device("cpu")


def prompt_inputs() -> PromptInputs:
    return PromptInputs(PHRASES, cell_settings(), torch.Generator().manual_seed(0), 1.0)


def tuner_of(way: TuningMethod, folder, tmp_path, **changes) -> Tuner:
    model, given = ToyDetector(), prompt_inputs()
    way.extend(model, given)
    options = {"preprocessing": model.preprocessing, "inclusive": False}
    return Tuner(
        model=model,
        prompt=way.prompt(model, given),
        method=way,
        train=Split(folder, "train", **options),
        val=Split(folder, "val", **options),
        settings=cell_settings(**changes),
        seed=0,
        device=CPU,
        checkpoint=tmp_path / "resume.pt",
    )


def batch_of_five(tuner: Tuner):
    return [tuner.train_split.sample(View(index, 64)) for index in range(5)]


# --------------------------------------------------------------------------------------------------- terms of the loss


def test_a_term_of_its_own_is_part_of_the_loss_and_exact_in_parts(data, tmp_path):  # noqa: F811
    losses, gradients = [], []
    for micro_batch in (5, 2, 1):
        tuner = tuner_of(made_up.PulledToOne(), data, tmp_path, micro_batch=micro_batch, batch_size=5)
        losses.append(tuner.accumulate(batch_of_five(tuner)))
        gradients.append(tuner.trained["prompt.vectors"].grad)
    plain = tuner_of(TuningMethod.load("cones"), data, tmp_path, batch_size=5)
    plain.accumulate(batch_of_five(plain))
    vectors = plain.trained["prompt.vectors"]
    expected = vectors.grad + 2 * (vectors.detach() - 1) / vectors.numel()
    for loss, gradient in zip(losses, gradients):
        assert loss == pytest.approx(losses[0], rel=1e-6) and loss["distance"] > 0
        torch.testing.assert_close(gradient, expected)


@pytest.mark.parametrize(
    ("way", "fault"),
    [
        (made_up.ForgetsToPromise, 'ForgetsToPromise: loss term "distance" has another normaliser than foreseen'),
        (made_up.TakesAName, 'TakesAName: loss term "classification" has the name of one of the model\'s'),
    ],
)
def test_a_term_that_would_not_be_exact_is_refused(data, tmp_path, way, fault):  # noqa: F811
    tuner = tuner_of(way(), data, tmp_path)
    with pytest.raises(ConesError, match=fault):
        tuner.step(batch_of_five(tuner))


# --------------------------------------------------------------------------------------------- gradients and epochs


def test_a_rule_on_gradients_is_applied_once_to_those_of_the_whole_batch(data, tmp_path):  # noqa: F811
    way = made_up.FirstClassStays()
    tuner = tuner_of(way, data, tmp_path, micro_batch=1, max_epochs=1, weight_decay=0.0)
    before = tuner.prompt.vectors.detach().clone()
    progress = tuner.run()
    assert way.steps == list(range(progress.step))
    assert torch.equal(tuner.prompt.vectors[0], before[0]) and not torch.equal(tuner.prompt.vectors[1], before[1])


def test_the_gradient_of_a_term_can_be_had_by_itself_and_is_that_of_the_whole_batch(data, tmp_path):  # noqa: F811
    found = []
    for micro_batch in (5, 2):
        tuner = tuner_of(made_up.PulledAcross(), data, tmp_path, micro_batch=micro_batch, batch_size=5)
        tuner._try_to_accumulate(batch_of_five(tuner))
        vectors = tuner.trained["prompt.vectors"]
        found.append((vectors.grad.clone(), tuner.separate_gradients["distance"]["prompt.vectors"]))
        tuner.adjust_gradients()
        assert (vectors.grad * found[-1][0]).sum() >= found[-1][0].square().sum() * (1 - 1e-6)
    torch.testing.assert_close(*found)
    torch.testing.assert_close(found[0][1], 2 * (vectors.detach() - 1) / vectors.numel())
    plain = tuner_of(TuningMethod.load("cones"), data, tmp_path, batch_size=5)
    plain.accumulate(batch_of_five(plain))
    torch.testing.assert_close(found[0][0], plain.trained["prompt.vectors"].grad)


def test_a_loss_scale_changes_neither_the_gradients_that_are_added_nor_those_apart(data, tmp_path):  # noqa: F811
    stepped = []
    for scaler in (None, torch.amp.GradScaler("cpu", init_scale=1024.0)):
        tuner = tuner_of(made_up.PulledAcross(), data, tmp_path, micro_batch=2, batch_size=5)
        tuner.scaler = scaler
        tuner.step(batch_of_five(tuner))
        stepped.append(tuner.trained["prompt.vectors"].detach())
    assert torch.equal(*stepped), "a power of two leaves every digit"


def test_what_is_done_before_an_epoch_is_done_once_and_survives_an_interruption(data, tmp_path, monkeypatch):  # noqa: F811
    whole = tuner_of(made_up.CentredAnew(), data, tmp_path / "whole", selection="last")
    history = whole.run().history
    assert whole.method.epochs == [0, 1, 2] and whole.prompt.centre.abs().max() > 0
    monkeypatch.setattr(Checkpoint, "is_due", lambda *_, **__: True)
    cut = tuner_of(made_up.CentredAnew(), data, tmp_path / "cut", selection="last")
    take_step = cut.step

    def step_or_die(samples):
        if cut.progress.step == 6:  # in the middle of the second epoch
            raise KeyboardInterrupt
        return take_step(samples)

    monkeypatch.setattr(cut, "step", step_or_die)
    with pytest.raises(KeyboardInterrupt):
        cut.run()
    again = tuner_of(made_up.CentredAnew(), data, tmp_path / "cut", selection="last")
    assert again.run().history == history
    assert cut.method.epochs == [0, 1] and again.method.epochs == [2]
    assert states_equal(whole, again) and torch.equal(whole.prompt.centre, again.prompt.centre)


def test_the_best_epoch_is_kept_with_its_buffers(data, tmp_path, monkeypatch):  # noqa: F811
    scores = iter([10.0, 30.0, 20.0])
    monkeypatch.setattr(validation, "average_precision", lambda *_: next(scores))
    tuner, centres = tuner_of(made_up.CentredAnew(), data, tmp_path), []
    validate = tuner._validate
    monkeypatch.setattr(tuner, "_validate", lambda: (centres.append(tuner.prompt.centre.clone()), validate()))
    assert tuner.run().best_epoch == 2
    assert torch.equal(tuner.prompt.centre, centres[1]) and not torch.equal(centres[1], centres[2])


def test_where_nothing_is_selected_validation_changes_nothing(data, tmp_path, monkeypatch):  # noqa: F811
    results = []
    for scores in ([30.0, 20.0, 10.0, 5.0, 1.0], [1.0, 5.0, 10.0, 20.0, 30.0]):
        found = iter(scores)
        monkeypatch.setattr(validation, "average_precision", lambda *_, found=found: next(found))
        options = {"max_epochs": 5, "early_stop": 1, "plateau": {"patience": 0}}
        tuner = tuner_of(made_up.LastEpochCounts(), data, tmp_path / str(scores[0]), **options)
        progress = tuner.run()
        assert (progress.epoch, progress.best_epoch) == (5, 5)
        results.append(tuner.prompt.vectors.detach().clone())
    assert torch.equal(*results)


def test_a_method_that_needs_masks_is_skipped_where_there_are_none(tmp_path):
    cell = Cell("suite", "glip_nano", "some", "arm", 0)
    manifests = [{"status": "done", "task": task} for task in ("detection", "instance_segmentation")]
    assert "needs masks" in _reason_to_skip(cell, made_up.NeedsMasks(), manifests[0])
    assert _reason_to_skip(cell, made_up.NeedsMasks(), manifests[1]) is None
    assert all(_reason_to_skip(cell, TuningMethod.load("cones"), manifest) is None for manifest in manifests)


def test_what_a_model_was_pretrained_on_has_no_zero_shot_score():
    models = {"gdino_b": {"tokens_per_class": 3, "learning_rate": {"cones": 1e-3}}}
    grids = {"table1_modern": {"models": ["gdino_t", "gdino_b"], "arms": ["zero_shot", "cones", "cones_step0"]}}
    plan = Plan.load("modern", {"models": models, "grids": grids})
    skipped = {
        (cell.model, cell.dataset, cell.arm) for cell in plan.cells("table1_modern") if not_zero_shot(plan, cell)
    }
    odinw = {name for name, entry in plan.registry.items() if entry.group == "natural"} | {"bccd"}
    assert len(odinw) == 14 and skipped == {("gdino_b", dataset, "zero_shot") for dataset in odinw}


# --------------------------------------------------------------------------------------- test time, image encoder


def test_a_rule_for_test_time_is_followed_in_validation_and_at_test_and_its_prompt_is_stored(data, tmp_path):  # noqa: F811
    found = {}
    for name, way in (("plain", TuningMethod.load("cones")), ("rule", made_up.SecondLook())):
        tuner = tuner_of(way, data, tmp_path / name, max_epochs=1)
        found[name] = tuner.run().history[0]["val_ap"]
        needed = way.needs_prompt_at_test(tuner.prompt)
        assert needed == (name == "rule")
        state = state_of(way, tuner.model, tuner.prompt, tuner.trained, Remake("m", {}), base_sha256="b")
        assert (state.remake is not None) == needed and state.language is not None
    split, live = tuner.val_split, LivePyramids(tuner.model, CPU)
    plain = predict(tuner.model, tuner.prompt, split, live, label="test")
    ruled = predict(tuner.model, tuner.prompt, split, live, label="test", detect=tuner.method.detect)
    assert [one["bbox"] for one in plain] == [one["bbox"] for one in ruled]
    assert [one["score"] for one in plain] != [one["score"] for one in ruled]


def test_additions_to_the_image_encoder_train_alone_and_come_back_with_the_state(data, tmp_path):  # noqa: F811
    way = made_up.LowRankEncoder()
    tuner = tuner_of(way, data, tmp_path, max_epochs=2)
    assert set(tuner.trained) == {"model.body.1.low_rank.a", "model.body.1.low_rank.b", "model.stem.shift.by"}
    base = ToyDetector().state_dict()
    assert isinstance(tuner.train_pyramids, LivePyramids), "what is added changes the image features"
    tuner.run()
    assert all(torch.equal(value, base[name]) for name, value in tuner.model.state_dict().items() if name in base)
    assert tuner.model.stem.shift.by.abs().max() > 0 and tuner.model.body[1].low_rank.calls > 0
    path = tmp_path / "state.safetensors"
    state_of(way, tuner.model, tuner.prompt, tuner.trained, Remake("m", {}), base_sha256="b").save(path)
    again, state = ToyDetector(), State.load(path)
    assert state.remake is None and state.language is not None
    way.extend(again, prompt_inputs())
    state.apply_to(again, where=path, base_sha256="b")
    again.eval()
    assert torch.equal(again.body[1].low_rank.calls, tuner.model.body[1].low_rank.calls)
    pixels = torch.rand(1, 3, 64, 64)
    assert torch.equal(again.body(again.stem(pixels)), tuner.model.body(tuner.model.stem(pixels)))
    with pytest.raises(ConesError, match=r"holds values the model does not have.*tune this cell again"):
        state.apply_to(ToyDetector(), where=path, base_sha256="b")


def test_what_is_always_frozen_stays_so_beside_an_addition(data, tmp_path):  # noqa: F811
    tuner = tuner_of(made_up.LowRankEncoder(), data, tmp_path)
    tuner._epoch()
    stem = tuner.model.stem
    assert stem.shift.by.requires_grad and not stem.weight.requires_grad
    assert stem.shift.training and not stem.training


def test_a_place_or_a_name_that_does_not_fit_is_one_line():
    model = ToySegmenter()
    with pytest.raises(ConesError, match=r'ToySegmenter: the model has no module "bod"; next: did you mean "body"'):
        add_module(model, "bod", "x", torch.nn.Identity(), changes="output")
    with pytest.raises(ConesError, match=r'body\.1: "weight" is the name of something else there'):
        add_module(model, "body.1", "weight", torch.nn.Identity(), changes="output")


# --------------------------------------------------------------------------------- methods for two encoders alone


def test_a_method_without_a_class_for_detectors_is_skipped_with_the_reason(monkeypatch):
    entry = MethodEntry(name="mine", module="baselines.mine", classifier="Mine", label="Mine", block="adapters")
    monkeypatch.setitem(METHODS._entries, "mine", entry)
    monkeypatch.setitem(METHODS._added, "mine", entry.module)
    cell = Cell("suite", "glip_nano", "some", "arm", 0)
    manifest = {"status": "done", "task": "detection"}
    assert "two encoders only" in _reason_to_skip(cell, TuningMethod.load("mine"), manifest)


def test_a_method_has_a_class_for_something():
    with pytest.raises(ValueError, match="needs `class`"):
        MethodEntry(name="mine", module="baselines.mine", label="Mine", block="adapters")
