"""Where the tests of `on_device` run: on the machine's GPU, or on a pretended one where there is none."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.gpu.pretend.build import COMPILER, compiler_is_there, guard

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).with_name("on_device")
VARIABLE = "CONES_TEST_DEVICE"  # "real" or "pretended"


def run_on_device(*arguments: str, root: Path = ROOT) -> subprocess.CompletedProcess:
    """pytest with these arguments, in a process of its own that has a device; `root` has `cones` and `tests`."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)}
    if torch.cuda.is_available():
        environment[VARIABLE] = "real"
    elif compiler_is_there():
        environment |= {VARIABLE: "pretended", "LD_PRELOAD": str(guard())}
    else:
        pytest.skip(f"no GPU, and {COMPILER} is not installed, which makes the pretended one")
    for name in [name for name in environment if name.startswith("PYTEST_")]:
        del environment[name]
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "no:xdist", "-s", *arguments]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=1800)
