"""Which lock is removed: that of a run of this machine that is dead, and no other."""

import subprocess
import sys
from pathlib import Path

import pytest
from flow import ROOT

from workflow import stale_lock

LOCK = Path(".snakemake/locks/0.output.lock")
SNAKEFILE = """
rule one:
    output: "one"
    shell: "touch {output}"
"""
AS_A_RUN = (
    f"import sys; sys.path.insert(0, {str(ROOT)!r}); from workflow import stale_lock; stale_lock.remove_stale_lock()"
)
REMOVED = "removed the lock of a run that is no longer alive"


@pytest.fixture
def locked(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    LOCK.parent.mkdir(parents=True)
    LOCK.write_text("one\n")
    return tmp_path


def begin(*arguments: str) -> str:
    """What a run says that begins here and ends at once."""
    done = subprocess.run([sys.executable, "-c", AS_A_RUN, *arguments], capture_output=True, text=True, check=True)
    return done.stderr


def note(pid: int, machine: str | None = None) -> Path:
    path = stale_lock.RUNS / f"{pid}@{machine or stale_lock.this_machine()}"
    path.parent.mkdir(exist_ok=True)
    path.touch()
    return path


def dead_process() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def test_the_lock_of_a_dead_run_of_this_machine_is_removed(locked):
    dead = note(dead_process())
    assert REMOVED in begin()
    assert not LOCK.exists() and not dead.exists()
    assert not list(stale_lock.RUNS.iterdir())  # a run that ends takes its own note with it


def test_a_number_that_is_another_programs_by_now_is_a_dead_run(locked):
    other = subprocess.Popen(["sleep", "60"])
    note(other.pid)
    assert REMOVED in begin()
    other.kill()
    other.wait()


def test_the_lock_of_a_living_run_is_left_alone(locked):
    living = subprocess.Popen(["snakemake", "60"], executable="/bin/sleep")
    note(living.pid)
    note(dead_process())
    assert f"may be alive: {living.pid}@" in begin()
    assert LOCK.exists()
    living.kill()
    living.wait()
    assert REMOVED in begin()


def test_the_lock_of_another_machine_is_left_alone_until_a_person_unlocks(locked):
    theirs = note(dead_process(), "login-node")
    note(dead_process())
    assert "may be alive" in begin()
    assert LOCK.exists() and theirs.exists()
    begin("--unlock")
    assert not LOCK.exists() and not theirs.exists()


def test_a_lock_that_nobody_noted_is_left_alone(locked):
    assert begin() == ""
    assert LOCK.exists()


@pytest.mark.slow
def test_snakemake_itself_stays_locked_out_by_a_dead_run(locked):
    """Why the module is there: if this fails, Snakemake has come to see it by itself."""
    Path("Snakefile").write_text(SNAKEFILE)
    run = subprocess.run([sys.executable, "-m", "snakemake", "--cores", "1", "one"], capture_output=True, text=True)
    assert run.returncode != 0 and "--unlock" in run.stderr


def test_a_process_that_runs_one_job_judges_no_lock(workflow):
    weights, locks = "checkpoints/glip_nano-seed0.safetensors", workflow.folder / ".snakemake"
    (locks / "locks").mkdir(parents=True)
    (locks / "runs").mkdir()
    (locks / "locks/0.output.lock").write_text("elsewhere\n")
    (locks / f"runs/{dead_process()}@{stale_lock.this_machine()}").touch()
    child = ("--mode", "subprocess", "--nolock", "--force", "--ignore-incomplete", "--config", "suite=ci")
    workflow.run(weights, *child)
    assert (workflow.folder / weights).exists()
    assert (locks / "locks/0.output.lock").exists() and len(list((locks / "runs").iterdir())) == 1
    assert REMOVED in workflow.run(weights, "--config", "suite=ci")
