"""The device on which a step computes, as its suite asks."""

import torch

from cones.experiment.cell import Plan
from cones.experiment.suite import CONFIG_FOLDER
from cones.runtime.determinism import make_deterministic
from cones.runtime.devices import choose_device


def device_for(plan: Plan, model: str) -> torch.device:
    """The device on which this model computes: a GPU leased for this process, or the CPU.

    On a CPU the process computes deterministically from here on.
    """
    where = f"{CONFIG_FOLDER / plan.suite.suite}.yaml: allow_cpu"
    device = choose_device(wants_gpu=plan.wants_gpu(model), allow_cpu=plan.suite.allow_cpu, where=where)
    make_deterministic(device)
    return device
