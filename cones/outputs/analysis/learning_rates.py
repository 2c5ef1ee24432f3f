"""The choice of learning rates: every tuned method at every rate of one grid; the best validation decides."""

from pathlib import Path

from cones.runtime.artifacts import write_text
from cones.runtime.errors import ConesError

DIVERGED = "is not finite at step"  # in the message of the training loop
GRID = "results/learning_rates/table1.csv --config suite=learning_rates"
MARK = "-lr"  # an arm of the grid is named <row of the table>-lr<rate>


def write_learning_rates(cells: Path, out: Path) -> Path:
    """Write one row per model, method, rate and dataset, from the `<table>_cells.csv` of a suite whose arms are a grid.

    validation_ap  in percent, best epoch, mean over seeds; of the masks where the model predicts some; none where a
                   cell ended because its loss was not finite
    chosen         whether the rate has the method's highest mean over the datasets; the smaller rate of equals

    In `generation_cells.csv` a subject is what a dataset is here, the arm what a method is, and the lowest mean
    `probe_loss` wins. Raises ConesError where a cell of the grid is missing: a choice among some of the rates is none.
    """
    import pandas as pd

    if not Path(cells).exists():
        raise ConesError("file is missing", where=cells, next_step=f"run the grid first: snakemake --cores all {GRID}")
    grid = pd.read_csv(cells)
    grid = grid[grid["arm"].str.contains(MARK)]
    diverged = grid["reason"].astype("string").str.contains(DIVERGED, na=False).astype(bool)
    if holes := grid[(grid["status"] != "done") & ~diverged]["arm"].tolist():
        raise ConesError(
            f"{len(holes)} cells of the grid are not done",
            where=cells,
            found=f"{holes[0]} among them",
            next_step="look at their reasons there, mend them and run the grid again",
        )
    grid = grid.assign(learning_rate=grid["arm"].str.partition(MARK)[2].astype(float))
    if "probe_loss" in grid:
        grid = grid.assign(method=grid["arm"].str.partition(MARK)[0])
        return _choose(grid, out, place="subject", score="probe_loss", highest=False, decimals=5)
    return _choose(grid, out, place="dataset", score="validation_ap", highest=True, decimals=2)


def _choose(grid, out: Path, *, place: str, score: str, highest: bool, decimals: int) -> Path:
    keys = ["model", "method", "learning_rate"]
    means = grid.assign(**{score: grid[score].fillna(0 if highest else float("inf"))}).groupby(keys, sort=False)
    means = means[score].mean().reset_index()
    means = means.sort_values(score, ascending=not highest, kind="stable")
    best = means.groupby(["model", "method"], sort=False)["learning_rate"].first().rename("best")
    rows = grid.groupby([*keys, place], sort=False)[score].mean().round(decimals).reset_index()
    rows = rows.merge(best, on=["model", "method"])
    rows["chosen"] = (rows["learning_rate"] == rows["best"]).map({True: "yes", False: ""})
    write_text(out, rows[[*keys, place, score, "chosen"]].to_csv(index=False))
    return Path(out)
