"""A workflow of its own for a test, and one that is finished."""

import shutil
from pathlib import Path

import pytest
from flow import Workflow

from tests.once import made_once


@pytest.fixture
def workflow(tmp_path) -> Workflow:
    return Workflow(tmp_path / "flow")


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Workflow:
    """The ci suite, run once from nothing; tests may look at it and plan on it, but not change it."""

    def run(folder: Path) -> None:
        said = Workflow(folder).run("results/table1.csv", "--config", "suite=ci")
        (folder / "said.txt").write_text(said)

    flow = Workflow(made_once(tmp_path_factory, "finished", run))
    flow.said = (flow.folder / "said.txt").read_text()
    return flow


@pytest.fixture
def own_finished(finished, tmp_path) -> Workflow:
    """A copy of the finished suite that a test may change: other processes look at the original meanwhile."""
    shutil.copytree(finished.folder, tmp_path / "finished", symlinks=True)
    return Workflow(tmp_path / "finished")
