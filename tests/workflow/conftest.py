"""A workflow of its own for a test, and one that is finished."""

import pytest
from flow import Workflow


@pytest.fixture
def workflow(tmp_path) -> Workflow:
    return Workflow(tmp_path / "flow")


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Workflow:
    """The ci suite, run once from nothing; tests may look at it and plan on it, but not change it."""
    flow = Workflow(tmp_path_factory.mktemp("finished"))
    flow.said = flow.run("results/table1.csv", "--config", "suite=ci")
    return flow
