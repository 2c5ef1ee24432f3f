"""Leases of devices: never two holders, given back by release and by death, first free one first."""

import os
import signal
import subprocess
import sys
import threading

import pytest

from cones.runtime import lease as leases
from cones.runtime.lease import lease

HOLD = """
import sys, time
from pathlib import Path
from cones.runtime.lease import lease
print(lease(sys.argv[2:], Path(sys.argv[1])).index, flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def _looks_often(monkeypatch):
    monkeypatch.setattr(leases, "SECONDS_BETWEEN_LOOKS", 0.01)


def test_every_holder_has_a_device_of_its_own(tmp_path):
    first, second = lease(["a", "b"], tmp_path), lease(["a", "b"], tmp_path)
    assert (first.index, second.index) == (0, 1)
    first.release()
    assert lease(["a", "b"], tmp_path).index == 0
    assert lease(["c"], tmp_path).index == 0


def test_who_finds_none_waits_until_one_is_given_back(tmp_path):
    held, found = lease(["a"], tmp_path), []
    waiting = threading.Thread(target=lambda: found.append(lease(["a"], tmp_path)))
    waiting.start()
    waiting.join(0.2)
    assert waiting.is_alive() and not found
    held.release()
    waiting.join(10)
    assert [each.index for each in found] == [0]


def test_a_killed_holder_leaves_no_lease_behind(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path), "a", "b"], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "0\n"
        beside = lease(["a", "b"], tmp_path)
        assert beside.index == 1
        os.kill(holder.pid, signal.SIGKILL)
        holder.wait(30)
        assert lease(["a", "b"], tmp_path).index == 0
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
