import pandas as pd
import pytest

from cones.errors import ConesError
from cones.tables.learning_rates import COLUMNS, write_learning_rates


def grid(tmp_path, rows):
    columns = ["model", "dataset", "arm", "method", "seed", "status", "validation_ap"]
    path = tmp_path / "table1_cells.csv"
    pd.DataFrame(rows, columns=columns).to_csv(path, index=False)
    return path


def test_the_best_mean_over_datasets_wins_and_the_smaller_rate_of_equals(tmp_path):
    rows = [
        ("nano", "a", "cones", "cones", 0, "done", 99.0),  # not of the grid: what stage 2 starts from
        *[("nano", "a", f"cones-lr{rate}", "cones", 0, "done", ap) for rate, ap in (("1e-2", 10), ("1e-1", 40))],
        *[("nano", "b", f"cones-lr{rate}", "cones", 0, "done", ap) for rate, ap in (("1e-2", 60), ("1e-1", 30))],
        *[("nano", "a", f"full-lr{rate}", "full", 0, "done", 5) for rate in ("1e-4", "1e-3")],
        *[("nano", "b", f"full-lr{rate}", "full", 0, "done", 5) for rate in ("1e-4", "1e-3")],
    ]
    table = pd.read_csv(write_learning_rates(grid(tmp_path, rows), tmp_path / "rates.csv"))
    assert list(table.columns) == COLUMNS and len(table) == 8
    chosen = table[table["chosen"] == "yes"].groupby("method")["learning_rate"].unique()
    assert chosen["cones"].tolist() == [0.01] and chosen["full"].tolist() == [0.0001]


def test_a_grid_with_a_hole_chooses_nothing(tmp_path):
    cells = grid(tmp_path, [("nano", "a", "cones-lr1e-2", "cones", 0, "failed", None)])
    with pytest.raises(ConesError, match=r"1 cells of the grid are not done.*cones-lr1e-2"):
        write_learning_rates(cells, tmp_path / "rates.csv")
