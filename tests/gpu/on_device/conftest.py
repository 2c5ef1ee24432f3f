"""The device of these tests, and what waits for it."""

import os

import pytest

from cones.runtime import devices
from cones.training.loop import TrainingLoop
from tests.gpu.device import VARIABLE
from tests.gpu.on_device.waits import counted
from tests.gpu.pretend.machine import pretended_gpu


@pytest.fixture(autouse=True, scope="session")
def device(tmp_path_factory):
    """The GPU that every step of these tests takes: a real one, or the pretended one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cones.runtime.lease.lock_folder", lambda: tmp_path_factory.getbasetemp() / "leases")
        if os.environ[VARIABLE] == "real":
            yield devices.leased_gpu()
        else:
            with pretended_gpu():
                yield devices.leased_gpu()
        devices.leased_gpu.cache_clear()


@pytest.fixture
def waits(monkeypatch):
    """What every training step waited for, in order."""
    steps, step = [], TrainingLoop.step

    def counting(self, batch):
        with counted() as found:
            losses = step(self, batch)
        steps.append(found)
        return losses

    monkeypatch.setattr(TrainingLoop, "step", counting)
    return steps
