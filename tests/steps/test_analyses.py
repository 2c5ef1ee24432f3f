"""The steps that turn class vectors into figures and distances, asked of a suite that has none."""

import pytest

from cones.cell import Plan
from cones.errors import ConesError
from cones.steps.figure4 import write_figure4
from cones.steps.table3 import write_table3


@pytest.mark.parametrize(("write", "grid"), [(write_figure4, "figure4"), (write_table3, "table3")])
def test_a_suite_without_the_grid_gets_one_line_and_no_file(tmp_path, monkeypatch, write, grid):
    plan = Plan.load("ci")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConesError, match=rf'config/ci.yaml.*grid "{grid}" is not in the suite.*choose one of: table1'):
        write(plan)
    assert not any(tmp_path.iterdir())
