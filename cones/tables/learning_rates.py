"""The choice of learning rates: every tuned method at every rate of one grid, the best mean validation AP wins."""

from pathlib import Path

from cones.artifacts import write_text
from cones.errors import ConesError

COLUMNS = ["model", "method", "learning_rate", "dataset", "validation_ap", "chosen"]
MARK = "-lr"  # an arm of the grid is named <method>-lr<rate>


def write_learning_rates(cells: Path, out: Path) -> Path:
    """`table1_cells.csv` of a suite whose arms are a grid -> one row per model, method, rate and dataset.

    validation_ap  in percent, best epoch, mean over seeds
    chosen         whether the rate has the method's highest mean over the datasets; the smaller rate of equals

    Raises ConesError where a cell of the grid is missing: a choice among some of the rates is none.
    """
    import pandas as pd

    if not Path(cells).exists():
        raise ConesError("file is missing", where=cells, next_step="run the suite learning_rates first")
    grid = pd.read_csv(cells)
    grid = grid[grid["arm"].str.contains(MARK)]
    if holes := grid[grid["status"] != "done"]["arm"].tolist():
        raise ConesError(f"{len(holes)} cells of the grid are not done", where=cells, found=holes[0])
    grid = grid.assign(learning_rate=grid["arm"].str.partition(MARK)[2].astype(float))
    keys = ["model", "method", "learning_rate"]
    means = grid.groupby(keys, sort=False)["validation_ap"].mean().reset_index()
    means = means.sort_values("validation_ap", ascending=False, kind="stable")
    best = means.groupby(["model", "method"], sort=False)["learning_rate"].first().rename("best")
    rows = grid.groupby([*keys, "dataset"], sort=False)["validation_ap"].mean().round(2).reset_index()
    rows = rows.merge(best, on=["model", "method"])
    rows["chosen"] = (rows["learning_rate"] == rows["best"]).map({True: "yes", False: ""})
    write_text(out, rows[COLUMNS].to_csv(index=False))
    return Path(out)
