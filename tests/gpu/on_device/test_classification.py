"""Classifying images with two encoders on a GPU: features, every method, scoring, interruption, lack of memory."""

import math
import shutil
from pathlib import Path

import pytest
import torch

from cones.evaluation.classification_metrics import read_classification_metrics
from cones.experiment.cell import Plan
from cones.experiment.classification_cells import features_file, self_supervised_file
from cones.methods.classifier import ClassifierMethod
from cones.runtime.artifacts import load_tensors, read_json
from cones.steps.classified_cell import classify_cell
from cones.steps.self_supervise import self_supervise
from cones.training.classifier_tuner import ClassifierTuner
from cones.training.simclr import SimCLRTraining
from tests.gpu.on_device.classified import (
    ARMS,
    DATASET,
    FITTED,
    HOLES,
    MODEL,
    TRAINED,
    cell_of,
    encode,
    fitted,
    prepared_plan,
)
from tests.gpu.on_device.waits import in_words

QUICK = ("tip_adapter", "cones", "cocoop")
UNSEEN = ("taskres", "clip_adapter", "cones", "lasp", "tpt")  # scored on classes without an image


def arms(names):
    return [pytest.param(name, marks=() if name in QUICK else pytest.mark.slow) for name in names]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The plan on the GPU and the folder it works in, with all stored features."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("classification")
        patch.chdir(folder)
        plan = prepared_plan(folder, patch)
        encode(plan)
        yield plan, folder


@pytest.fixture
def plan(world, monkeypatch):
    plan, folder = world
    monkeypatch.chdir(folder)
    return plan


def state_of(cell):
    return load_tensors(cell.folder / "state.safetensors")[0]


def test_every_method_of_the_miniature_is_here():
    section = Plan.load("miniature").classification
    assert set(ARMS) == {section.method(arm) for arm in section.arms}


def test_features_are_those_of_a_cpu(plan, tmp_path, monkeypatch):
    files = [features_file(plan, MODEL, DATASET, kind) for kind in ("pooled", "patches", "views")]
    files.append(self_supervised_file(plan, DATASET))
    on_gpu = [load_tensors(file)[0] for file in files]
    copy = shutil.copytree(Path.cwd(), tmp_path / "copy", symlinks=True, ignore=shutil.ignore_patterns("features"))
    monkeypatch.chdir(copy)
    encode(Plan.load("tiny", {"device": "cpu"}))
    for file, tensors in zip(files, on_gpu, strict=True):
        torch.testing.assert_close(dict(tensors), dict(load_tensors(file)[0]), rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("arm", arms(FITTED))
def test_a_classifier(plan, waits, arm):
    cell = cell_of(plan, arm)
    record = fitted(plan, cell)
    assert record["device"] == "cuda:0"
    losses = [epoch["loss"] for each in record["runs"] for epoch in each["history"]]
    assert all(math.isfinite(loss) for loss in losses)
    assert len(losses) == len(record["runs"]) * 2 and bool(losses) == (arm in TRAINED)
    if losses:
        assert "copy to the CPU" not in waits[-1]
        print(f"\n{MODEL}, {arm}: a step waits for the GPU {in_words(waits[-1])}")
    metrics = read_classification_metrics(cell.folder / "metrics.json")
    assert metrics.status == "done" and metrics.targets[DATASET].accuracy is not None
    assert all(torch.isfinite(value).all() for value in state_of(cell).values() if value.is_floating_point())


@pytest.mark.slow
@pytest.mark.parametrize("arm", UNSEEN)
def test_classes_without_an_image_are_scored(plan, arm):
    cell = cell_of(plan, arm, "shapes-base2")
    fitted(plan, cell)
    targets = read_classification_metrics(cell.folder / "metrics.json").targets
    assert targets["base"].accuracy is not None
    assert (targets["new"].accuracy is not None) == ClassifierMethod.load(arm).unseen_classes


@pytest.mark.parametrize("arm", HOLES)
def test_a_method_that_lacks_its_data_is_a_hole(plan, arm):
    cell = cell_of(plan, arm)
    classify_cell(plan, cell)
    metrics = read_classification_metrics(cell.folder / "metrics.json")
    assert metrics.status == "skipped" and HOLES[arm] in metrics.reason


@pytest.mark.parametrize("arm", arms(FITTED))
def test_a_cell_starts_and_ends_as_on_a_cpu(plan, arm):
    """What is drawn is drawn on the host: the device decides nothing."""
    cell = cell_of(plan, arm)
    losses = [run["history"] for run in fitted(plan, cell)["runs"]]
    on_gpu = state_of(cell)
    on_cpu = Plan.load("tiny", {"device": "cpu"})
    shutil.move(cell.folder, kept := cell.folder.with_name("kept"))
    try:
        expected = fitted(on_cpu, cell)
        assert expected["device"] == "cpu"
        for mine, theirs in zip(losses, (run["history"] for run in expected["runs"]), strict=True):
            assert [one["loss"] for one in mine] == pytest.approx([one["loss"] for one in theirs], rel=0.02)
        torch.testing.assert_close(dict(on_gpu), dict(state_of(cell)), rtol=1e-2, atol=1e-2)
    finally:
        shutil.rmtree(cell.folder)
        shutil.move(kept, cell.folder)


def test_a_lack_of_memory_halves_the_pass_and_keeps_the_loss(plan, monkeypatch):
    cell = cell_of(plan, "cones")
    (expected,) = fitted(plan, cell)["runs"]
    terms = ClassifierMethod.loss_terms

    def scarce(self, classifier, images, labels):
        if len(labels) > 2:
            raise torch.OutOfMemoryError("made up")
        return terms(self, classifier, images, labels)

    monkeypatch.setattr(ClassifierMethod, "loss_terms", scarce)
    classify_cell(plan, cell)
    (run,) = read_json(cell.folder / "tuning.json")["runs"]
    assert (expected["micro_batch"], run["micro_batch"]) == (4, 2)
    losses = [[epoch["loss"] for epoch in each["history"]] for each in (run, expected)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)


@pytest.mark.parametrize(
    "arm", ["cones", *(pytest.param(arm, marks=pytest.mark.slow) for arm in ("subpt", "svl_adapter"))]
)
def test_an_interrupted_run_goes_on_to_the_same_state(plan, arm, monkeypatch, caplog):
    caplog.set_level("INFO", "cones")
    cell = cell_of(plan, arm)
    fitted(plan, cell)
    expected, after_step = state_of(cell), ClassifierTuner.after_step

    def dies_after_the_second(self, losses):
        after_step(self, losses)
        if self.progress.step == 2:
            self.save()
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(ClassifierTuner, "after_step", dies_after_the_second)
        with pytest.raises(KeyboardInterrupt):
            classify_cell(plan, cell)
    classify_cell(plan, cell)
    assert "resumed at step 3" in caplog.text
    torch.testing.assert_close(dict(state_of(cell)), dict(expected), rtol=1e-3, atol=1e-3)  # its last bits may differ


def test_an_interrupted_self_supervision_goes_on_to_the_same_features(plan, waits, monkeypatch, caplog):
    caplog.set_level("INFO", "cones")
    file = self_supervised_file(plan, DATASET)
    expected = load_tensors(file)[0]

    def dies_after_the_second(self, losses):
        if self.progress.step == 2:
            self.save()
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(SimCLRTraining, "after_step", dies_after_the_second)
        with pytest.raises(KeyboardInterrupt):
            self_supervise(plan, DATASET)
    self_supervise(plan, DATASET)
    print(f"\nself-supervision: a step waits for the GPU {in_words(waits[-1])}")
    assert "resumed at step 3" in caplog.text
    torch.testing.assert_close(dict(load_tensors(file)[0]), dict(expected), rtol=1e-3, atol=1e-3)
