"""The shipped SLURM profile on a real SLURM cluster of one node: a grid of cells, one of whose jobs is killed."""

import csv
import subprocess
import sys
import time

import pytest
from flow import ROOT, Workflow

pytest.importorskip("snakemake_executor_plugin_slurm")
pytestmark = pytest.mark.slow
GRID = ("suite=ci", "datasets=[bccd]")
FAST = (
    "--slurm-init-seconds-before-status-checks",
    "2",
    "--seconds-between-status-checks",
    "2",
    "--slurm-status-command",
    "squeue",
)
NO_GPU = ("--set-resources", "features:gpu=0", "tune:gpu=0", "evaluate:gpu=0", "--set-threads", "tune=1", "evaluate=1")


def test_a_grid_completes_through_slurm_though_a_job_is_cancelled(cluster, tmp_path):
    flow = Workflow(tmp_path / "flow")
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(flow.folder)),
        *("--workflow-profile", str(ROOT / "profiles/slurm"), "--local-cores", "1"),
        *("results/table1.csv", *FAST, *NO_GPU, "--config", *GRID),
    ]
    log = tmp_path / "snakemake.log"
    with open(log, "wb") as out:
        run = subprocess.Popen(command, cwd=flow.folder, env=flow.environment, stdout=out, stderr=out)
        try:
            cancelled = cancel_one(cluster, run, "rule_tune")
            assert run.wait(900) == 0, log.read_text(errors="replace")[-4000:]
        finally:
            run.kill()
    with open(flow.folder / "results/ci/table1_cells.csv", newline="") as file:
        cells = list(csv.DictReader(file))
    assert len(cells) == 7 and {cell["status"] for cell in cells} == {"done"}
    said = log.read_text(errors="replace")
    assert "Trying to restart job" in said
    jobs = cluster.said("scontrol", "--oneliner", "show", "job").splitlines()
    states = {line.split()[0]: line.partition("JobState=")[2].split()[0] for line in jobs}
    assert states.pop(f"JobId={cancelled}") == "CANCELLED"
    assert set(states.values()) == {"COMPLETED"}
    assert len(states) == 7 * 2 + 4  # tune and evaluate of every cell; weights, prepare, text, features once


def cancel_one(cluster, run: subprocess.Popen, rule: str) -> str:
    """Cancel the first job of a rule that is seen running; its number."""
    while run.poll() is None:
        for line in cluster.said("squeue", "--noheader", "--states=RUNNING", "--format=%A %k").splitlines():
            number, _, comment = line.partition(" ")
            if rule in comment:
                cluster.said("scancel", number)
                return number
        time.sleep(0.2)
    raise AssertionError(f"no job of {rule} was ever seen running")
