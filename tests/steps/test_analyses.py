"""The steps that turn class vectors into figures and distances, asked of a suite that has none."""

import pytest

from cones.experiment.cell import Plan
from cones.outputs.make import make_output
from cones.runtime.errors import ConesError


@pytest.mark.parametrize("grid", ["figure4", "table3", "table5"])
def test_a_suite_without_the_grid_gets_one_line_and_no_file(tmp_path, monkeypatch, grid):
    plan = Plan.load("ci")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        ConesError, match=rf'config/ci.yaml.*does not make "{grid}"; expected one of {grid}; next: add the grid, or'
    ):
        make_output(plan, grid)
    assert not any(tmp_path.iterdir())
