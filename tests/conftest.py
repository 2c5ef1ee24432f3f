"""What tests share: they run from the repository's root and never see the caller's CONES_MIRROR and CONES_WARM."""

import os
import signal
from pathlib import Path

import pytest

pytest_plugins = ["tests.faults.tally"]
ROOT = Path(__file__).resolve().parent.parent
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.pop("CONES_WARM", None)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # what a shell runs in the background ignores Ctrl-C
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _at_the_root(monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.delenv("CONES_MIRROR", raising=False)


def pytest_collection_modifyitems(items):
    """Whole workflows take longest: begun first, no process is left alone with them at the end."""
    items.sort(key=lambda item: item.path.parent.name != "workflow")
