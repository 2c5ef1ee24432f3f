"""In which precision a GPU computes, and the loss scale of float16."""

import pytest
import torch

from cones.experiment.cell import Plan
from cones.runtime.artifacts import read_json
from cones.runtime.errors import ConesError
from cones.steps.tune import tune_cell
from cones.training.checkpoint import write_checkpoint
from cones.training.loop import TrainingLoop
from tests.gpu.on_device.cells import DATASET, painted_plan

GLIP = "glip_nano"


@pytest.fixture(scope="module")
def painted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("precision")
    return folder, painted_plan(folder, GLIP, ["cones"])


@pytest.fixture
def in_precision(painted, monkeypatch):
    """The plan of a cell that trains and is scored in a precision; its folder is the working directory."""
    folder, plan = painted
    monkeypatch.chdir(folder)

    def in_precision(precision: str) -> Plan:
        changes = {"precision": precision, "scoring_precision": precision}
        models = {GLIP: plan.suite.models[GLIP].model_copy(update=changes)}
        return Plan(plan.suite.model_copy(update={"models": models}), plan.registry)

    return in_precision


def tuned(plan: Plan) -> dict:
    cell = plan.cell(GLIP, DATASET, "cones", 0)
    (cell.folder / "resume.pt").unlink(missing_ok=True)
    tune_cell(plan, cell)
    return read_json(cell.folder / "tuning.json")


@pytest.mark.slow
def test_every_precision_learns_alike_and_is_recorded(in_precision):
    records = {precision: tuned(in_precision(precision)) for precision in ("float32", "bfloat16", "float16")}
    reference = records["float32"]["history"]
    print()
    for precision, record in records.items():
        assert record["precision"] == record["scoring_precision"] == precision and record["skipped_steps"] == 0
        for epoch, expected in zip(record["history"], reference):
            assert epoch["losses"] == pytest.approx(expected["losses"], rel=0.05)
        last = record["history"][-1]
        losses = ", ".join(f"{name} {value:.4f}" for name, value in last["losses"].items())
        print(f"{GLIP}, cones, {precision}: validation AP {last['val_ap']:.2f}, {losses}")


def test_a_step_beyond_float16_changes_nothing_is_counted_and_lowers_the_scale(in_precision, monkeypatch, caplog):
    caplog.set_level("INFO", "cones")
    scaler, step, seen = torch.amp.GradScaler, TrainingLoop.step, []
    monkeypatch.setattr(torch.amp, "GradScaler", lambda device: scaler(device, init_scale=2.0**30))

    def watched(self, batch):
        before = self.trained["prompt.vectors"].detach().cpu().clone()
        losses = step(self, batch)
        is_changed = not torch.equal(before, self.trained["prompt.vectors"].detach().cpu())
        seen.append((is_changed, self.scaler.get_scale()))
        return losses

    monkeypatch.setattr(TrainingLoop, "step", watched)
    record = tuned(in_precision("float16"))
    assert record["skipped_steps"] == 2 and seen == [(False, 2.0**29), (False, 2.0**28)]
    assert "2 steps skipped so far" in caplog.text and "beyond float16 at loss scale" in caplog.text


@pytest.mark.slow
def test_the_scale_and_the_count_survive_an_interruption(in_precision, monkeypatch):
    scaler, resume, resumed = torch.amp.GradScaler, TrainingLoop.resume, []
    monkeypatch.setattr(torch.amp, "GradScaler", lambda device: scaler(device, init_scale=2.0**30))
    plan = in_precision("float16")
    cell = plan.cell(GLIP, DATASET, "cones", 0)
    kept = cell.folder.parent / "kept.pt"

    def keep(path, content):
        write_checkpoint(path, content)
        if content["progress"]["epoch"] == 1:
            write_checkpoint(kept, content)

    monkeypatch.setattr("cones.training.checkpoint.write_checkpoint", keep)
    tuned(plan)

    def watched(self):
        resume(self)
        resumed.append((self.progress.skipped_steps, self.scaler.get_scale()))

    monkeypatch.setattr(TrainingLoop, "resume", watched)
    kept.rename(cell.folder / "resume.pt")
    tune_cell(plan, cell)
    assert resumed == [(1, 2.0**29)]
    assert read_json(cell.folder / "tuning.json")["skipped_steps"] == 2


def test_without_any_scale_left_a_gradient_that_is_not_finite_stops(in_precision, monkeypatch):
    scaler, adjust = torch.amp.GradScaler, TrainingLoop.adjust_gradients
    monkeypatch.setattr(torch.amp, "GradScaler", lambda device: scaler(device, init_scale=1.0))

    def broken(self):
        adjust(self)
        self.trained["prompt.vectors"].grad.fill_(float("nan"))

    monkeypatch.setattr("cones.training.tuner.Tuner.adjust_gradients", broken)
    with pytest.raises(ConesError, match="the gradient is not finite"):
        tuned(in_precision("float16"))
