"""PyTorch computes deterministically where that is promised, on a CPU, and nowhere else."""

import pytest
import torch

from cones.experiment.cell import Plan
from cones.runtime.determinism import make_deterministic
from cones.steps import device as device_step
from cones.steps.device import device_for

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


@pytest.fixture(autouse=True)
def _as_it_was():
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    yield
    torch.use_deterministic_algorithms(before[0], warn_only=before[1])


@pytest.mark.parametrize("first", [CPU, GPU])
def test_the_device_of_the_last_step_decides(monkeypatch, first):
    """A process may compute on one device after the other."""
    plan = Plan.load("miniature")
    for device in (first, CPU, GPU, CPU):
        monkeypatch.setattr(device_step, "choose_device", lambda device=device, **how: device)
        assert device_for(plan, "glip_nano") == device
        assert torch.are_deterministic_algorithms_enabled() == (device == CPU)
        assert not torch.backends.cudnn.benchmark


def test_an_operation_without_a_deterministic_algorithm_warns_and_goes_on():
    make_deterministic(CPU)
    assert torch.is_deterministic_algorithms_warn_only_enabled()
    assert not torch.utils.deterministic.fill_uninitialized_memory
