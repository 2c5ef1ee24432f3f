"""The choice of learning rates and random starts: every method at every pair of a grid; the best validation decides."""

from pathlib import Path

from cones.runtime.artifacts import write_text
from cones.runtime.errors import ConesError

DIVERGED = "is not finite at step"  # in the message of the training loop
GRID = "results/learning_rates/table1.csv --config suite=learning_rates"
MARK = "-lr"  # an arm of the grid is named <row of the table>-lr<rate>
START = r"-start_(.+)-lr"  # or <row of the table>-start_<start>-lr<rate>: then start and rate are chosen as a pair


def write_learning_rates(cells: Path, out: Path) -> Path:
    """Write one row per model, method, rate and dataset, from the `<table>_cells.csv` of a suite whose arms are a grid.

    validation_ap  in percent, best epoch, mean over seeds; of the masks where the model predicts some; none where a
                   cell ended because its loss was not finite
    chosen         whether the rate has the method's highest mean over the datasets; the smaller rate of equals
    start          only where the arms of the grid name one: the spread of the random start, chosen with the rate

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
    starts = grid["arm"].str.extract(START)[0]
    if starts.notna().any():
        grid = grid.assign(start=starts.map(_start, na_action="ignore"))
    if "probe_loss" in grid:
        grid = grid.assign(method=grid["arm"].str.partition(MARK)[0])
        return _choose(grid, out, place="subject", score="probe_loss", highest=False, decimals=5)
    return _choose(grid, out, place="dataset", score="validation_ap", highest=True, decimals=2)


def _start(text: str) -> str:
    """`2e-2` in the name of an arm, which has no full stop, is 0.02; `word` and `output` are themselves."""
    return text if text in ("word", "output") else f"{float(text):g}"


def _choose(grid, out: Path, *, place: str, score: str, highest: bool, decimals: int) -> Path:
    pair = [*(["start"] if "start" in grid else []), "learning_rate"]
    keys = ["model", "method", *pair]
    means = grid.assign(**{score: grid[score].fillna(0 if highest else float("inf"))}).groupby(keys, sort=False)
    means = means[score].mean().reset_index()
    means = means.sort_values(score, ascending=not highest, kind="stable")
    best = means.groupby(["model", "method"], sort=False)[pair].first().assign(chosen="yes").reset_index()
    rows = grid.groupby([*keys, place], sort=False)[score].mean().round(decimals).reset_index()
    rows = rows.merge(best, on=keys, how="left").fillna({"chosen": ""})
    write_text(out, rows[[*keys, place, score, "chosen"]].to_csv(index=False))
    return Path(out)
