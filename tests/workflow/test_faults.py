"""A workflow that is disturbed: killed, locked, misconfigured, without its data, with a failing cell."""

import os
import signal
import subprocess
import time

import pytest

from tests.some_fast import fast
from workflow.stale_lock import this_machine

TABLE = "results/table1.csv"
ONE_CELL = "results/ci/glip_nano/bccd/full_finetuning/seed0/metrics.json"
TYPOS = [  # file, what is there, what is there instead, what is said
    ("config/ci.yaml", "max_epochs:", "max_epoch:", 'tuning.max_epoch: unknown key; next: did you mean "max_epochs"?'),
    ("config/ci.yaml", "source: miniature", "source: minature", "source: Input should be 'official'"),
    ("config/ci.yaml", "datasets: [aquarium, bccd]", "datasets: [aquarium, bcd]", 'did you mean "bccd"?'),
    ("config/ci.yaml", "      cones: 1.0e-1\n", "", 'models.glip_nano.learning_rate has no value for "cones"'),
    ("datasets.yaml", "paper_name: BCCD", "papername: BCCD", 'unknown key; next: did you mean "paper_name"?'),
]


@pytest.mark.parametrize("said", [pytest.param("", marks=pytest.mark.slow), "validation AP"])
def test_killed_at_any_moment_it_finishes_with_the_same_numbers(workflow, finished, said):
    """SIGKILL to the whole process group once tuning has begun, or has `said` this; then the same command again, with
    no unlock and no flag."""
    command = workflow.command(ONE_CELL, "--config", "suite=ci")
    run = subprocess.Popen(
        command, cwd=workflow.folder, env=workflow.environment, stderr=subprocess.DEVNULL, start_new_session=True
    )
    log = workflow.folder / "logs/ci/glip_nano/bccd/full_finetuning/seed0/tune.log"
    waited = time.monotonic() + 120
    while not (log.exists() and said in log.read_text()) and run.poll() is None and time.monotonic() < waited:
        time.sleep(0.02)
    os.killpg(run.pid, signal.SIGKILL)
    run.wait()
    assert not (workflow.folder / ONE_CELL).exists()
    assert list((workflow.folder / ".snakemake/locks").glob("*.lock"))
    workflow.run(ONE_CELL, "--config", "suite=ci")
    assert (workflow.folder / ONE_CELL).read_bytes() == (finished.folder / ONE_CELL).read_bytes()


def test_the_lock_of_a_living_run_is_left_alone(workflow):
    """Which locks are whose is in test_stale_lock.py; here a whole run meets one."""
    weights = "checkpoints/glip_nano-seed0.safetensors"
    noted, lock = (workflow.folder / ".snakemake" / name for name in ("runs", "locks/0.output.lock"))
    for folder in (noted, lock.parent):
        folder.mkdir(parents=True)
    lock.write_text(f"{weights}\n")
    imitation = subprocess.Popen(["snakemake", "60"], cwd=workflow.folder, executable="/bin/sleep")
    (noted / f"{imitation.pid}@{this_machine()}").touch()
    try:
        assert "LockException" in workflow.run(weights, "--config", "suite=ci", check=False)
        assert lock.exists()
    finally:
        imitation.kill()
        imitation.wait()


def test_one_failing_cell_leaves_the_others_and_a_partial_table_with_the_reason(workflow):
    hot = 'models={"glip_nano": {"learning_rate": {"full_finetuning": 1e30}}}'
    world = ("--config", "suite=ci", "datasets=[bccd]", "arms=[zero_shot, full_finetuning]")
    said = workflow.run("results/ci/table1.csv", *world, hot, check=False)
    assert "is not finite at step" in said
    assert (workflow.cell("bccd", "zero_shot") / "metrics.json").exists()
    assert not (workflow.folder / "results/ci/table1.csv").exists()
    partial = (workflow.folder / "results/ci/table1.partial.csv").read_text()
    assert "not finite at step" in partial
    assert "not finite at step" in (workflow.folder / "results/ci/report.partial.html").read_text()
    workflow.run("results/ci/table1.csv", *world)
    assert not list((workflow.folder / "results/ci").glob("*partial*"))


def test_a_dataset_that_needs_a_form_is_a_hole_with_its_reason_and_nothing_fails(workflow):
    registry = workflow.folder / "datasets.yaml"
    text = registry.read_text()
    assert "access: open" in text
    entry = text.index("\nbccd:")
    registry.write_text(text[:entry] + text[entry:].replace("access: open", "access: request", 1))
    world = ("--config", "suite=bccd", "arms=[zero_shot, cones]", "tuning={max_epochs: 1}")
    workflow.run("results/bccd/table1.csv", *world)
    table = (workflow.folder / "results/bccd/table1.csv").read_text()
    assert "needs_request" in table and "0/1" in table


@pytest.mark.parametrize("typo", fast(TYPOS, TYPOS[0]), ids=[typo[2].strip() or "no rate" for typo in TYPOS])
def test_a_typo_ends_in_one_line_with_file_key_and_cure(workflow, typo):
    file, old, new, message = typo
    path = workflow.folder / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))
    said = workflow.run("--dry-run", TABLE, "--config", "suite=ci", check=False)
    line = next(line for line in said.splitlines() if line.startswith("error: "))
    assert message in line and file in line
    assert "Traceback" not in said


def test_a_mirror_without_the_dataset_says_what_it_wants_where(workflow, tmp_path):
    said = workflow.run("results/bccd/table1.csv", "--config", "suite=bccd", f"mirror={tmp_path}", check=False)
    line = next(line for line in said.splitlines() if line.startswith("error: "))
    assert "bccd" in line and str(tmp_path) in line and "next:" in line
    assert not (workflow.folder / "data/official/bccd/fetch.json").exists()
