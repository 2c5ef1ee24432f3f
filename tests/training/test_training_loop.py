"""The training loop by itself: what every user of it can count on."""

import ast
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import cones
from cones.runtime.errors import ConesError
from cones.training import checkpoint as resume
from cones.training import loop
from cones.training.checkpoint import Checkpoint
from cones.training.loop import Progress, TrainingLoop


class Line(TrainingLoop):
    """Fits a weight to batches of numbers; the loss is their mean squared distance to it, times three."""

    def __init__(self, folder: Path, micro_batch: int = 8, identity: object = "line"):
        self.weight = nn.Parameter(torch.zeros(1))
        super().__init__(
            trained={"weight": self.weight},
            optimiser=torch.optim.SGD([self.weight], lr=0.1),
            progress=Progress(micro_batch=micro_batch),
            checkpoint=folder / "resume.pt",
            identity=identity,
            device=torch.device("cpu"),
            where="a line",
        )

    def parts(self, batch):
        return batch.split(self.progress.micro_batch)

    def normalisers(self, parts):
        return {"squares": torch.tensor(float(sum(map(len, parts))))}

    def losses(self, part, normalisers):
        number = (normalisers or self.normalisers([part]))["squares"]
        return {"squares": (part - self.weight).square().sum() / number}

    def adjust_gradients(self):
        self.weight.grad.mul_(3)


class Clock:
    """Time that passes only when told to."""

    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in (loop, resume):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


def test_gradients_are_computed_in_one_file_of_the_library():
    root = Path(cones.__file__).parent
    calls = {
        path.relative_to(root).as_posix()
        for path in [*root.rglob("*.py"), *(root.parent / "baselines").rglob("*.py")]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr == "backward"
    }
    assert calls == {"training/loop.py"}


def test_a_batch_in_parts_is_the_whole_batch_and_the_rule_on_gradients_sees_it_once(tmp_path):
    batch = torch.arange(5.0)
    whole, cut = Line(tmp_path), Line(tmp_path, micro_batch=2)
    assert whole.step(batch)["squares"] == pytest.approx(cut.step(batch)["squares"]) == 6.0
    assert whole.weight.item() == pytest.approx(cut.weight.item()) == pytest.approx(0.1 * 3 * 2 * 2)


def test_a_loss_that_is_not_finite_changes_nothing(tmp_path):
    line = Line(tmp_path)
    with pytest.raises(ConesError, match="a line: the loss is not finite at step 1; next: lower the learning rate"):
        line.step(torch.tensor([1.0, float("inf")]))
    assert line.weight.item() == 0.0 and not (tmp_path / "resume.pt").exists()


def test_a_batch_that_cannot_be_cut_ends_in_one_line_when_memory_runs_out(tmp_path, monkeypatch):
    line = Line(tmp_path, micro_batch=1)

    def without_memory(part, normalisers):
        raise torch.OutOfMemoryError

    monkeypatch.setattr(line, "losses", without_memory)
    with pytest.raises(ConesError, match="out of memory with a whole batch per forward pass, at step 1; next: use"):
        line.step(torch.ones(2))


def test_the_interval_between_checkpoints_follows_what_one_costs(tmp_path, clock, monkeypatch):
    def slow(path, content):
        clock.now += 6.0

    checkpoint = Checkpoint(tmp_path / "resume.pt", "x")
    assert not checkpoint.is_due() and checkpoint.is_due(at_least=0)
    clock.now = 60.0
    assert checkpoint.is_due()
    checkpoint.write({})
    clock.now += 59.0
    assert not checkpoint.is_due() and checkpoint.is_due(at_least=0)
    clock.now += 1.0
    assert checkpoint.is_due()
    monkeypatch.setattr(resume, "write_checkpoint", slow)
    checkpoint.write({})
    clock.now += 119.0
    assert not checkpoint.is_due() and not checkpoint.is_due(at_least=0), "6 s are a twentieth of 120 s"
    clock.now += 1.0
    assert checkpoint.is_due() and checkpoint.is_due(at_least=0)


def test_seconds_are_those_of_steps_and_their_batches_alone(tmp_path, clock, monkeypatch):
    line = Line(tmp_path)
    line.untimed_steps = 1

    def batches():
        for _ in range(3):
            clock.now += 1.0
            yield torch.ones(2)

    def taking(seconds):
        def pass_time(*arguments):
            clock.now += seconds

        return pass_time

    monkeypatch.setattr(line, "adjust_gradients", taking(10.0))
    monkeypatch.setattr(line, "after_step", taking(100.0))  # such as a look at a probe set; also makes it due
    monkeypatch.setattr(resume, "write_checkpoint", taking(1000.0))
    line.train(batches(), label="steps", total=3)
    assert (line.progress.seconds, line.progress.timed_steps, line.progress.step) == (22.0, 2, 3)
    assert clock.now == 3 * 111 + 1000, "the second checkpoint waits until the first has paid off"


@pytest.mark.parametrize("identity", ["line", ["data", 1]])
def test_a_checkpoint_is_resumed_by_its_own_run_alone(tmp_path, identity):
    first = Line(tmp_path, identity=identity)
    first.train([torch.ones(2)] * 3, label="steps", total=3)
    first.save()
    again, other = Line(tmp_path, identity=identity), Line(tmp_path, identity="another")
    for each in (again, other):
        each.resume()
    assert torch.equal(again.weight, first.weight) and again.progress == first.progress
    assert other.progress.step == 0 and other.weight.item() == 0.0
