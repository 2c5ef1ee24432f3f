"""Results that were made by hand, or whose Snakemake records are gone, count as what they are."""

import shutil
import subprocess
import sys

import pytest
from flow import Workflow, jobs_of

TABLE, CI = "results/table1.csv", ("--config", "suite=ci")


@pytest.fixture
def by_hand(finished, tmp_path) -> Workflow:
    """The finished ci suite as if every step had been called by hand: Snakemake knows nothing of it."""
    flow = Workflow(tmp_path / "flow")
    kept = shutil.ignore_patterns(".snakemake", "logs", "config", "datasets.yaml")
    shutil.copytree(finished.folder, flow.folder, ignore=kept, symlinks=True, dirs_exist_ok=True)
    return flow


def test_what_the_plan_would_make_is_kept_and_stale_cells_alone_are_made_again(by_hand):
    assert "Nothing to be done" in by_hand.run(TABLE, *CI)
    rates = 'models={"glip_nano": {"learning_rate": {"linear_probing": 0.05}}}'
    table = by_hand.folder / TABLE
    before = table.read_bytes()
    jobs = jobs_of(by_hand.run(TABLE, *CI, rates))
    assert jobs == {"tune": 2, "evaluate": 2, "collect_table1": 1, "table1": 1, "publish": 1}
    assert "Nothing to be done" in by_hand.run(TABLE, *CI, rates)
    assert table.read_bytes() != before


def test_a_stale_cell_that_no_target_needs_is_left_alone(by_hand):
    rates = 'models={"glip_nano": {"learning_rate": {"linear_probing": 0.05}}}'
    target = "results/ci/glip_nano/bccd/cones/seed0/metrics.json"
    assert "Nothing to be done" in by_hand.run(target, *CI, rates)


def test_a_changed_entry_of_the_registry_is_prepared_again(by_hand):
    registry = by_hand.folder / "datasets.yaml"
    registry.write_text(registry.read_text().replace("paper_name: BCCD", "paper_name: Blood"))
    plan = by_hand.planned(TABLE, *CI)
    assert (plan["prepare"], plan["tune"], plan["evaluate"]) == (1, 7, 7)


def test_collect_by_hand_refuses_a_cell_of_other_settings(by_hand):
    settings = '{"tuning": {"max_epochs": 2}}'
    command = [sys.executable, "-m", "cones", "collect", "table1", "--suite", "ci", "--set", settings]
    done = subprocess.run(command, cwd=by_hand.folder, env=by_hand.environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "stale: tuning.max_epochs was 1, is 2; next: let the workflow make it again" in done.stderr
    partial = subprocess.run([*command, "--partial"], cwd=by_hand.folder, env=by_hand.environment)
    assert partial.returncode == 0
    lines = (by_hand.folder / "results/ci/table1_cells.partial.csv").read_text().splitlines()
    assert len(lines) == 15 and all("failed" in line and "stale: " in line for line in lines[1:])
