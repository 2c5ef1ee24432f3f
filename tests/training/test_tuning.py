"""The one training loop: it learns, resumes bit for bit, cuts batches without changing the loss, never hides a NaN."""

import shutil

import pytest
import torch
from toy import ToyDetector, ToySegmenter, paint_split

from baselines.linear_probing import LinearProbing
from cones.data.batches import Split, View, groups_of_equal_size
from cones.evaluation import validation
from cones.evaluation.coco_ap import average_precision
from cones.methods.method import PromptInputs, TuningMethod
from cones.methods.prompts import FixedPrompt
from cones.methods.settings import CellSettings, Tuning
from cones.models.language import ClassPhrase, LanguageFeatures
from cones.models.losses import normalised
from cones.runtime.artifacts import read_json, write_json
from cones.runtime.errors import ConesError
from cones.steps.tune import choose_losses, choose_projections
from cones.training.checkpoint import Checkpoint
from cones.training.tuner import Tuner, mark_trainable

PHRASES = [ClassPhrase(name) for name in "abc"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy")
    paint_split(folder, "train", images=14, seed=0)
    paint_split(folder, "val", images=6, seed=1)
    return folder


def cell_settings(method="cones", **changes) -> CellSettings:
    budget = {"max_epochs": 3, "train_short_sides": (48, 64), "pyramid_cache_mb": 8, **changes}
    return CellSettings(
        method=method,
        tokens_per_class=2,
        learning_rate=0.1,
        stage1="cones",
        prompts="plain",
        tuning=Tuning(**budget),
    )


def make_tuner(data, tmp_path, method="cones", model=None, ranks=None, identity="", **changes) -> Tuner:
    settings, model = cell_settings(method, **changes), model or ToyDetector()
    way = TuningMethod.load(method)
    concepts = LanguageFeatures.of_tokens_per_class(torch.ones(3, 2, model.text_width))
    prompt_inputs = PromptInputs(PHRASES, settings, torch.Generator().manual_seed(0), 1.0, concepts, concepts=concepts)
    options = {"preprocessing": model.preprocessing, "inclusive": False, "masks": model.predicts_masks}
    splits = {name: Split(data, name, **options) for name in ("train", "val")}
    return Tuner(
        model=model,
        prompt=way.prompt(model, prompt_inputs),
        method=way,
        **splits,
        settings=settings,
        seed=0,
        device=torch.device("cpu"),
        checkpoint=tmp_path / "resume.pt",
        identity=identity,
        ranks=ranks,
    )


def states_equal(one: Tuner, other: Tuner) -> bool:
    return all(torch.equal(value, other.trained[name]) for name, value in one.trained.items())


@pytest.mark.parametrize("method", ["cones", "cones_finetuned", "linear_probing"])
def test_each_kind_of_method_trains_only_what_it_may_and_lowers_the_loss(data, tmp_path, method):
    tuner = make_tuner(data, tmp_path, method, max_epochs=6)
    names = set(tuner.trained)
    everything = {f"model.{name}" for name, _ in tuner.model.named_parameters()}
    expected = {"cones": {"prompt.vectors"}, "linear_probing": {"model.scale"}}.get(method)
    assert names == (expected or everything - {"model.stem.weight", "model.stem.bias"})
    before = {name: value.clone() for name, value in tuner.model.state_dict().items()}
    history = tuner.run().history
    assert history[-1]["losses"]["classification"] < history[0]["losses"]["classification"]
    changed = {f"model.{n}" for n, value in tuner.model.state_dict().items() if not torch.equal(value, before[n])}
    assert changed <= names


@pytest.mark.parametrize("method", ["cones", "cones_finetuned"])
@pytest.mark.parametrize("interrupted_at", [1, 4, 6])
def test_an_interrupted_run_resumes_to_the_same_bits(data, tmp_path, monkeypatch, method, interrupted_at):
    whole = make_tuner(data, tmp_path / "whole", method)
    reference = whole.run()
    monkeypatch.setattr(Checkpoint, "is_due", lambda *_, **__: True)  # a checkpoint after every step
    cut = make_tuner(data, tmp_path / "cut", method)
    take_step = cut.step

    def step_or_die(samples):
        if cut.progress.step == interrupted_at:
            raise KeyboardInterrupt
        return take_step(samples)

    monkeypatch.setattr(cut, "step", step_or_die)
    with pytest.raises(KeyboardInterrupt):
        cut.run()
    again = make_tuner(data, tmp_path / "cut", method)
    result = again.run()
    assert states_equal(whole, again)
    assert result.history == reference.history


@pytest.mark.parametrize(
    ("max_steps", "steps", "epochs"), [(None, 12, 3), (1, 1, 1), (4, 4, 1), (6, 6, 2), (99, 12, 3)]
)
def test_a_budget_of_steps_ends_tuning_and_the_epoch_it_ends_in_is_validated(data, tmp_path, max_steps, steps, epochs):
    tuner = make_tuner(data, tmp_path, max_steps=max_steps, early_stop=99)
    progress = tuner.run()
    assert (progress.step, progress.epoch) == (steps, epochs)
    assert [epoch["epoch"] for epoch in progress.history] == list(range(1, epochs + 1))
    assert all(epoch["val_ap"] is not None for epoch in progress.history)


def test_a_run_killed_between_its_last_step_and_validation_ends_the_same(data, tmp_path, monkeypatch):
    reference = make_tuner(data, tmp_path / "whole", max_steps=6)
    reference.run()
    cut = make_tuner(data, tmp_path / "cut", max_steps=6)
    monkeypatch.setattr(Checkpoint, "is_due", lambda *_, **__: True)
    validate = cut._validate
    monkeypatch.setattr(cut, "_validate", lambda: 1 / 0 if cut.progress.step == 6 else validate())
    with pytest.raises(ZeroDivisionError):
        cut.run()
    again = make_tuner(data, tmp_path / "cut", max_steps=6)
    assert again.run().history == reference.progress.history and states_equal(reference, again)


def test_a_checkpoint_of_other_settings_or_a_damaged_one_is_not_taken_up(data, tmp_path):
    first = make_tuner(data, tmp_path, max_epochs=1)
    first.run()
    for changes in ({"weight_decay": 0.0}, {"identity": "other data"}):
        other = make_tuner(data, tmp_path, max_epochs=1, **changes)
        other.resume()
        assert other.progress.step == 0
    (tmp_path / "resume.pt").write_bytes(b"half a file")
    damaged = make_tuner(data, tmp_path, max_epochs=1)
    damaged.run()
    assert states_equal(first, damaged)


def test_the_best_epoch_on_validation_is_kept_and_ties_overwrite(data, tmp_path, monkeypatch):
    scores = iter([10.0, 30.0, 30.0, 20.0, 10.0])
    monkeypatch.setattr(validation, "average_precision", lambda *_: next(scores))
    tuner = make_tuner(data, tmp_path, max_epochs=5)
    snapshots = []
    validate = tuner._validate
    monkeypatch.setattr(tuner, "_validate", lambda: (snapshots.append(tuner._snapshot()), validate()))
    progress = tuner.run()
    assert (progress.best_epoch, progress.best_ap, progress.below_best) == (3, 30.0, 2)
    assert torch.equal(tuner.trained["prompt.vectors"], snapshots[2]["prompt.vectors"])


def test_early_stop_and_plateau(data, tmp_path, monkeypatch):
    scores = iter([10.0] + [5.0] * 20)
    monkeypatch.setattr(validation, "average_precision", lambda *_: next(scores))
    tuner = make_tuner(data, tmp_path, max_epochs=20, early_stop=4, plateau={"patience": 1})
    progress = tuner.run()
    assert progress.epoch == 5
    assert [entry["learning_rate"] for entry in progress.history] == pytest.approx([0.1, 0.1, 0.1, 0.01, 0.01])


def test_where_the_last_epoch_counts_validation_decides_nothing(data, tmp_path, monkeypatch):
    scores = iter([30.0, 20.0, 10.0, 5.0, 1.0])
    monkeypatch.setattr(validation, "average_precision", lambda *_: next(scores))
    tuner = make_tuner(data, tmp_path, max_epochs=5, early_stop=1, selection="last", decay_at=0.6)
    snapshots = []
    validate = tuner._validate
    monkeypatch.setattr(tuner, "_validate", lambda: (snapshots.append(tuner._snapshot()), validate()))
    progress = tuner.run()
    assert (progress.epoch, progress.best_epoch, progress.best_ap) == (5, 5, 1.0)
    assert torch.equal(tuner.trained["prompt.vectors"], snapshots[4]["prompt.vectors"])
    assert [entry["learning_rate"] for entry in progress.history] == pytest.approx([0.1, 0.1, 0.1, 0.01, 0.01])


@pytest.fixture(scope="module")
def without_validation(data, tmp_path_factory):
    """The same pictures, none of them to validate on."""
    folder = tmp_path_factory.mktemp("whole")
    shutil.copytree(data, folder, dirs_exist_ok=True)
    nothing = {**read_json(folder / "val.json"), "images": [], "annotations": []}
    write_json(folder / "val.json", nothing)
    return folder


def test_without_validation_there_is_no_ap_of_it_and_the_last_epoch_counts(without_validation, tmp_path, caplog):
    caplog.set_level("INFO", "cones")
    progress = make_tuner(without_validation, tmp_path, max_epochs=2, selection="last").run()
    assert [entry["val_ap"] for entry in progress.history] == [None, None]
    assert (progress.best_epoch, progress.best_ap) == (2, None)
    assert "no validation AP" in caplog.text and "validation AP 0.0" not in caplog.text


def test_best_weights_are_not_chosen_without_validation(without_validation, tmp_path):
    with pytest.raises(ConesError, match=r"no validation picture has a box.*`selection: last`"):
        make_tuner(without_validation, tmp_path, max_epochs=2).run()


def test_a_fixed_step_down_survives_an_interruption(data, tmp_path, monkeypatch):
    options = {"max_epochs": 3, "decay_at": 0.67}
    whole = make_tuner(data, tmp_path / "whole", **options)
    reference = whole.run()
    cut = make_tuner(data, tmp_path / "cut", **options)
    validate = cut._validate

    def validate_or_die():
        if cut.progress.epoch == 2:
            raise KeyboardInterrupt
        validate()

    monkeypatch.setattr(cut, "_validate", validate_or_die)
    with pytest.raises(KeyboardInterrupt):
        cut.run()
    again = make_tuner(data, tmp_path / "cut", **options)
    assert again.run().history == reference.history and states_equal(whole, again)
    assert [entry["learning_rate"] for entry in reference.history] == pytest.approx([0.1, 0.1, 0.01])


@pytest.mark.parametrize(("model", "asked"), [(ToySegmenter, "segm"), (ToyDetector, "bbox")])
def test_masks_decide_where_there_are_any(data, tmp_path, monkeypatch, model, asked):
    seen = []

    def scored(truth, results, limit, iou_type):
        seen.append(iou_type)
        return average_precision(truth, results, limit, iou_type)

    monkeypatch.setattr(validation, "average_precision", scored)
    tuner = make_tuner(data, tmp_path, model=model(), max_epochs=2)
    assert tuner.train_split.sample(View(0, 64)).target.masks is None or model is ToySegmenter
    history = tuner.run().history
    assert seen == [asked, asked] and all(0 <= entry["val_ap"] <= 100 for entry in history)


def test_only_the_losses_asked_for_are_chosen():
    model = ToySegmenter()
    choose_losses(model, None, where="a cell")
    with pytest.raises(ConesError, match=r"a cell: loss_groups.*no loss_groups for this model.*box"):
        choose_losses(model, ("box",), where="a cell")
    model.loss_groups = ("classification", "box", "mask")
    choose_losses(model, ("box", "mask"), where="a cell")
    assert model.loss_groups == ("box", "mask")


def test_other_projections_are_those_that_the_model_names():
    model = ToySegmenter()
    usual = model.projections
    choose_projections(model, None, where="a cell")
    assert model.projections == usual
    with pytest.raises(ConesError, match=r"a cell: projections.*it has one choice.*last"):
        choose_projections(model, "last", where="a cell")
    model.other_projections = {"last": frozenset({"head.weight"})}
    choose_projections(model, "last", where="a cell")
    assert model.projections == {"head.weight"}


def test_cutting_a_batch_changes_neither_loss_nor_gradient(data, tmp_path):
    """Unequal sizes and a small micro-batch: parts share the normalisers of the whole batch."""
    losses, gradients = [], []
    for micro_batch in (4, 1):
        tuner = make_tuner(data, tmp_path, "cones_finetuned", micro_batch=micro_batch)
        tuner.model.eval()  # dropout draws depend on the shape of a part
        samples = [tuner.train_split.sample(View(index, 64)) for index in range(4)]
        losses.append(tuner.accumulate(samples)["classification"])
        gradients.append(tuner.trained["model.body.1.weight"].grad)
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    torch.testing.assert_close(*gradients)


def test_normalisers_known_beforehand_are_those_of_the_loss(data, tmp_path):
    tuner = make_tuner(data, tmp_path)
    part = groups_of_equal_size([tuner.train_split.sample(View(i, 64)) for i in range(4)], 4)[0]
    targets = [sample.target for sample in part]
    predictions = tuner.model.ground(tuner.train_pyramids(part), tuner.prompt.without_images())
    terms = tuner.model.loss(predictions, targets)
    assert {name: term.normaliser for name, term in terms.items()} == tuner.model.normalisers(
        targets, tuple(part[0].pixels.shape[1:])
    )


def test_out_of_memory_halves_the_micro_batch_and_gives_the_same_result(data, tmp_path, monkeypatch):
    plain = make_tuner(data, tmp_path / "plain", max_epochs=1)
    plain.run()
    tight = make_tuner(data, tmp_path / "tight", max_epochs=1)
    accumulate = tight.accumulate

    def with_little_memory(samples):
        if tight.progress.micro_batch > 1:
            raise torch.OutOfMemoryError
        return accumulate(samples)

    monkeypatch.setattr(tight, "accumulate", with_little_memory)
    assert tight.run().micro_batch == 1
    torch.testing.assert_close(tight.trained["prompt.vectors"], plain.trained["prompt.vectors"])


def test_a_loss_that_is_not_finite_stops_with_step_and_image(data, tmp_path):
    model = ToyDetector()
    model.fail_at = {3}
    tuner = make_tuner(data, tmp_path, model=model)
    with pytest.raises(ConesError, match=r"loss is not finite at step \d+ \(epoch 1\).*images \[[\d, ]*3[\d, ]*\]"):
        tuner.run()


@pytest.mark.parametrize("bad", [float("inf"), float("nan")])
def test_a_gradient_that_is_not_finite_stops_and_the_last_good_checkpoint_stands(data, tmp_path, monkeypatch, bad):
    monkeypatch.setattr(Checkpoint, "is_due", lambda *_, **__: True)  # a checkpoint after every step
    tuner = make_tuner(data, tmp_path)
    accumulate = tuner.accumulate

    def spoilt(samples):
        losses = accumulate(samples)
        if tuner.progress.step == 2:
            tuner.trained["prompt.vectors"].grad[0, 0, 0] = bad
        return losses

    monkeypatch.setattr(tuner, "accumulate", spoilt)
    with pytest.raises(ConesError, match=r"gradient is not finite at step 3 \(epoch 1\).*images \[.*next: look at"):
        tuner.run()
    again = make_tuner(data, tmp_path)
    again.resume()
    assert again.progress.step == 2 and again.trained["prompt.vectors"].isfinite().all()


def test_out_of_memory_with_one_image_is_one_line(data, tmp_path, monkeypatch):
    tuner = make_tuner(data, tmp_path)

    def without_memory(samples):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(tuner, "accumulate", without_memory)
    with pytest.raises(
        ConesError,
        match=r"out of memory with one image per forward pass, at step 1 \(epoch 1\); found images.*next",
    ):
        tuner.run()
    assert tuner.progress.micro_batch == 1


def test_parts_that_never_train_stay_in_eval_mode(data, tmp_path):
    tuner = make_tuner(data, tmp_path, "cones_finetuned")
    tuner.method.set_modes(tuner.model, tuner.prompt)
    tuner._keep_frozen_parts_in_eval_mode()
    assert not tuner.model.stem.training and tuner.model.dropout.training
    probing = LinearProbing()
    probing.set_modes(tuner.model, FixedPrompt(tuner.prompt.without_images()))
    assert not tuner.model.body.training and tuner.model.dropout.training


def test_mark_trainable_and_normalised_floor():
    model = ToyDetector()
    prompt = FixedPrompt(LanguageFeatures.of_tokens_per_class(torch.ones(3, 2, 8)))
    assert mark_trainable(model, prompt, TuningMethod.load("zero_shot")) == {}
    from cones.models.losses import LossTerm

    term = LossTerm(torch.tensor(6.0), torch.tensor(0.0))
    assert normalised({"x": term})["x"] == 6.0
    assert normalised({"x": term}, {"x": torch.tensor(3.0)})["x"] == 2.0


def test_controls_start_from_the_text_or_never_train(data):
    text = LanguageFeatures(
        hidden=torch.arange(5.0)[None, :, None].expand(1, 5, 8),
        mask=torch.ones(1, 5, dtype=torch.bool),
        class_positions=torch.tensor([[[0, 1, 0, 0, 0], [0, 0, 1, 1, 0]]], dtype=torch.bool),
    )
    prompt_inputs = PromptInputs(PHRASES[:2], cell_settings(), torch.Generator().manual_seed(0), 1.0, text)
    started = TuningMethod.load("cones_text_init").prompt(ToyDetector(), prompt_inputs)
    assert started.vectors[:, :, 0].tolist() == [[1.0, 1.0], [2.0, 3.0]]
    table = TuningMethod.load("added_table").prompt(ToyDetector(), prompt_inputs)
    assert torch.equal(table(None).hidden, text.hidden) and table.vectors.requires_grad
    untrained = TuningMethod.load("cones_step0")
    assert mark_trainable(ToyDetector(), untrained.prompt(ToyDetector(), prompt_inputs), untrained) == {}
