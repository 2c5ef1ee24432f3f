"""Table 5 of the paper: how many tokens per class ConES needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cones.evaluation.seeds import over_seeds, rounded, with_interval
from cones.outputs.averages import scored, seeds_behind
from cones.outputs.reference import Reference, paper, stands_beside
from cones.outputs.rows import holes
from cones.outputs.sheet import NOTES, Sheet, blank_repeats
from cones.outputs.wording import (
    AP_MEANS,
    DIFFERENCE_MEANS,
    NO_NUMBER,
    Row,
    heading,
    join_notes,
    markers,
    number,
    numbered_notes,
    signed,
)

if TYPE_CHECKING:
    from pandas import DataFrame

OUTPUT = {
    "name": "table5",
    "reads": "scores",
    "grids": ["table5"],
    "title": "Table 5: tokens per class",
    "about": "ConES with one to five vectors per class.",
}
POSITIONS = 256  # the longest text GLIP's encoder takes
SCORES = ("ap", "ap50")
BESIDE = ("paper", "difference")  # where the paper `stands_beside`


def frame(cells: DataFrame, *, suite: str, reference: Reference | None = None) -> DataFrame:
    """One row per model, method and number of tokens per class; `cells` as `collect_cells` makes them.

    For each dataset and each of AP and AP50 `<dataset>_<score>` (mean over seeds), `_spread` (half width of the 95 % t
    interval), `_low` and `_high` (the range over seeds), and `<dataset>_slots`, classes x tokens. Where the paper
    `stands_beside`, the published value and ours minus it.
    """
    import pandas as pd

    reference = reference or paper()
    datasets = list(dict.fromkeys(cells["dataset"]))
    rows = []
    grouped = cells.dropna(subset=["tokens_per_class"]).groupby(["model", "method", "tokens_per_class"], sort=False)
    for (model, method, tokens), mine in sorted(grouped, key=lambda group: group[0][2]):
        row = {"suite": suite, "model": model, "method": method, "tokens_per_class": int(tokens)}
        for dataset in datasets:
            row |= _scores(mine[scored(mine) & (mine["dataset"] == dataset)], dataset, int(tokens))
        if stands_beside(suite):
            row |= _published(row, datasets, reference)
        rows.append({**row, "seeds": seeds_behind(mine), "notes": join_notes(holes(mine))})
    models = list(dict.fromkeys(cells["model"]))
    rows.sort(key=lambda row: models.index(row["model"]))
    if stands_beside(suite) and rows:
        rows[-1]["notes"] = join_notes([*filter(None, [rows[-1]["notes"]]), *reference.notes("table5")])
    return pd.DataFrame(rows, columns=_columns(datasets, suite))


def _columns(datasets: list[str], suite: str) -> list[str]:
    parts = ("", "_spread", "_low", "_high", *(f"_{part}" for part in BESIDE if stands_beside(suite)))
    dataset_columns = [
        name
        for dataset in datasets
        for name in (*(f"{dataset}_{score}{part}" for score in SCORES for part in parts), f"{dataset}_slots")
    ]
    return ["suite", "model", "method", "tokens_per_class", *dataset_columns, "seeds", "notes"]


def _scores(cells: DataFrame, dataset: str, tokens: int) -> dict:
    """The columns of one dataset; none where no cell has a number."""
    if cells.empty:
        return {}
    row: dict = {f"{dataset}_slots": int(cells["classes"].iloc[0]) * tokens}
    for score in SCORES:
        values = list(cells[score].dropna())
        if values:
            mean, spread, _ = over_seeds(values)
            row |= {f"{dataset}_{score}": mean, f"{dataset}_{score}_spread": spread}
            row |= {f"{dataset}_{score}_low": min(values), f"{dataset}_{score}_high": max(values)}
    return row


def _published(row: dict, datasets: list[str], reference: Reference) -> dict:
    published = {}
    for known in reference.rows("table5", model=row["model"], tokens=row["tokens_per_class"]):
        for dataset in datasets:
            for score in SCORES:
                value, ours = known.get(f"{dataset}_{score.upper()}"), row.get(f"{dataset}_{score}")
                published[f"{dataset}_{score}_paper"] = value
                if value is not None and ours is not None and row["method"] == "cones":
                    published[f"{dataset}_{score}_difference"] = ours - value
    return published


def sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> Sheet:
    """The table for people, made of the rows of the CSV file alone."""
    datasets = [column.removesuffix("_slots") for column in columns if column.endswith("_slots")]
    labels = {**paper().labels("table8"), **paper().labels("table10")}
    numbers, beside = numbered_notes(rows), stands_beside(suite)
    heads = ["model", "tokens per class"]
    for name in datasets:
        for score in ("AP", "AP50"):
            heads += [f"{labels.get(name, name)} {score}", *["paper", "difference"] * beside]
        heads += [f"{labels.get(name, name)} slots"]
    body = []
    for row in rows:
        line = [row["model"], row["tokens_per_class"]]
        for name in datasets:
            for score in SCORES:
                column = f"{name}_{score}"
                published = [number(row[f"{column}_paper"]), signed(row[f"{column}_difference"])] if beside else []
                line += [_with_range(row, column), *published]
            line.append(f"{float(row[f'{name}_slots']):.0f}" if row[f"{name}_slots"] else NO_NUMBER)
        body.append([*line, markers(row, numbers)])
    seeds = ", ".join(dict.fromkeys(filter(None, (row["seeds"] for row in rows))))
    legend = [
        f"{AP_MEANS} ({seeds or 'none yet'}).",
        "±: half width of the 95 % t interval over seeds; in brackets the range. Differences below it are noise.",
        f"slots: positions of the language features in use (classes times tokens), of {POSITIONS}.",
    ]
    legend += [DIFFERENCE_MEANS] * beside
    return Sheet(
        heading(suite, title, what="Table 5"), [*heads, NOTES], blank_repeats(body, 1), legend, names=2, notes=numbers
    )


def _with_range(row: Row, column: str) -> str:
    """`51.7 ± 1.2 [50.9, 52.4]`, without interval and range for one seed."""
    if not row[column]:
        return NO_NUMBER
    if not row[f"{column}_spread"]:
        return number(row[column])
    low, high = (rounded(float(row[f"{column}_{end}"])) for end in ("low", "high"))
    return f"{with_interval(float(row[column]), float(row[f'{column}_spread']))} [{low}, {high}]"
