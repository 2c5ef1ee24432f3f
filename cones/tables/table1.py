"""Table 1 of the paper: models and methods against the average AP of three groups of datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cones.tables.averages import average, scored, seeds_behind
from cones.tables.reference import GROUPS, Reference, paper
from cones.tables.rows import holes, other_datasets, parameters, published_parameters, rows_of
from cones.tables.wording import join_notes

if TYPE_CHECKING:
    from pandas import DataFrame

GROUP_COLUMNS = tuple(
    f"{group}_{part}" for group in GROUPS for part in ("ap", "datasets", "spread", "paper", "difference")
)
COLUMNS = (
    *("suite", "block", "model", "method", "trained_M", "all_M", "paper_trained_M", "paper_all_M"),
    *GROUP_COLUMNS,
    *("seeds", "notes"),
)


def table1(cells: DataFrame, *, suite: str, reference: Reference | None = None) -> DataFrame:
    """COLUMNS, one row per block, model and method (see `rows_of`); `cells` as `collect_cells` makes them.

    Averages, their counts and spreads are those of `average`. Parameters are in millions by the paper's convention. In
    the suite "paper" the published values stand beside ours; the difference is taken only over exactly the paper's
    datasets. `notes`: reasons for holes and known slips of the paper, see `join_notes`.
    """
    import pandas as pd

    reference = reference or paper()
    rows = [
        {"suite": suite, "block": block, "model": model, "method": method, **_row(mine, suite, reference)}
        for block, model, method, mine in rows_of(cells, GROUPS, reference)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _row(cells: DataFrame, suite: str, reference: Reference) -> dict:
    """Everything of one row but its name; `cells` are those of one model and one method."""
    model, method = cells["model"].iloc[0], cells["method"].iloc[0]
    row, notes = parameters(cells)
    for name in GROUPS:
        group_cells = cells[cells["group"] == name]
        if len(group_cells):
            row |= {f"{name}_{part}": value for part, value in average(group_cells).items()}
    notes += holes(cells)
    if suite == "paper":
        row |= _published(row, cells, model, method, reference)
        notes += [remark for _, remark in reference.remarks("table1", model, method)]
        for name, group in GROUPS.items():
            mine = set(cells.loc[cells["group"] == name, "dataset"])
            notes += other_datasets(group.title, mine, set(group.datasets))
    row["seeds"] = seeds_behind(cells)
    row["notes"] = join_notes(notes)
    return row


def _published(row: dict, cells: DataFrame, model: str, method: str, reference: Reference) -> dict:
    published = published_parameters(model, method, reference, "table1")
    for name, group in GROUPS.items():
        value = reference.value("table1", model, method, group.column)
        published[f"{name}_paper"] = value
        found = cells[scored(cells) & (cells["group"] == name)]
        complete = row.get(f"{name}_datasets") == "{0}/{0}".format(len(group.datasets))
        if value is not None and complete and set(found["dataset"]) == set(group.datasets):
            published[f"{name}_difference"] = row[f"{name}_ap"] - value
    return published
