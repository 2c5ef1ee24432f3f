"""Table 1 of the paper: models and methods against the average AP of three groups of datasets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cones.outputs.averages import average, scored, seeds_behind
from cones.outputs.best import best_in_section
from cones.outputs.files import read_csv
from cones.outputs.reference import GROUPS, Reference, paper, stands_beside
from cones.outputs.rows import (
    CONES,
    holes,
    mixed_shots,
    other_datasets,
    parameters,
    published_parameters,
    rows_of,
    shots_of,
    with_shots,
)
from cones.outputs.sheet import NOTES, Score, Sheet
from cones.outputs.wording import (
    AP_MEANS,
    BLOCKS,
    PARAMETERS_MEAN,
    Row,
    heading,
    join_notes,
    markers,
    method_label,
    millions,
    number,
    numbered_notes,
    signed,
    signs,
)
from cones.outputs.wording import average as average_text
from cones.runtime.errors import ConesError

if TYPE_CHECKING:
    from pandas import DataFrame

OUTPUT = {
    "name": "table1",
    "reads": "scores",
    "grids": ["table1"],
    "groups": ["natural", "non_radiology", "radiology"],
    "of_methods": True,
    "title": "Table 1: averages over groups of datasets",
}
GROUP_COLUMNS = tuple(
    f"{group}_{part}" for group in GROUPS for part in ("ap", "datasets", "spread", "paper", "difference")
)
COLUMNS = (
    *("suite", "block", "model", "method", "trained_M", "all_M", "paper_trained_M", "paper_all_M"),
    *GROUP_COLUMNS,
    *("seeds", "notes"),
)
EMPTY = "No cell of this suite belongs into Table 1."


def frame(cells: DataFrame, *, suite: str, reference: Reference | None = None) -> DataFrame:
    """One row (COLUMNS) per block, model and method (see `rows_of`); `cells` as `collect_cells` makes them. Where any
    cell is few-shot, `shots` stands behind the method.

    Averages, their counts and spreads are those of `average`. Parameters are in millions by the paper's convention.
    Where the paper `stands_beside`, so do the published values; the difference is taken only over exactly the paper's
    datasets. `notes`: reasons for holes and known slips of the paper, see `join_notes`.
    """
    import pandas as pd

    reference = reference or paper()
    rows = [
        {"suite": suite, "block": block, "model": model, "method": method, **_row(mine, suite, reference)}
        for block, model, method, mine in rows_of(cells, GROUPS, reference)
    ]
    return pd.DataFrame(rows, columns=with_shots(COLUMNS, rows))


def _row(cells: DataFrame, suite: str, reference: Reference) -> dict:
    """Everything of one row but its name; `cells` are those of one model and one method."""
    model, method = cells["model"].iloc[0], cells["method"].iloc[0]
    row, notes = parameters(cells)
    for name in GROUPS:
        group_cells = cells[cells["group"] == name]
        if len(group_cells):
            row |= {f"{name}_{part}": value for part, value in average(group_cells).items()}
            notes += mixed_shots(GROUPS[name].title, group_cells)
    notes += holes(cells)
    if stands_beside(suite):
        row |= _published(row, cells, model, method, reference)
        notes += [remark for _, remark in reference.remarks("table1", model, method)]
        for name, group in GROUPS.items():
            mine = set(cells.loc[cells["group"] == name, "dataset"])
            notes += other_datasets(group.title, mine, set(group.datasets))
    row |= {"seeds": seeds_behind(cells), "shots": shots_of(cells)}
    row["notes"] = join_notes(notes)
    return row


def _published(row: dict, cells: DataFrame, model: str, method: str, reference: Reference) -> dict:
    published = published_parameters(model, method, reference, "table1")
    for name, group in GROUPS.items():
        value = reference.value("table1", model, method, group.column)
        published[f"{name}_paper"] = value
        scored_cells = cells[scored(cells) & (cells["group"] == name)]
        complete = f"{name}_ap" in row and row[f"{name}_datasets"] == "{0}/{0}".format(len(group.datasets))
        if value is not None and complete and set(scored_cells["dataset"]) == set(group.datasets):
            published[f"{name}_difference"] = row[f"{name}_ap"] - value
    return published


# ---------------------------------------------------------------------------------------------------------- for people


def read_rows(path: str | Path) -> list[Row]:
    """The rows of a `table1.csv` as text; ConesError unless it has that table's columns."""
    columns, rows = read_csv(path)
    if tuple(column for column in columns if column != "shots") != COLUMNS:
        raise ConesError("not a Table 1 of this version", where=path, next_step="delete it and run again")
    return rows


def sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> Sheet:
    """The table for people: the averages of every group, beside the published ones where the paper `stands_beside`."""
    groups, numbers, with_paper = groups_in(rows), numbered_notes(rows), stands_beside(suite)
    heads = ["block", "model", "method", "trained (M)", "all (M)", *(f"{GROUPS[name].title} AP" for name in groups)]
    is_best, body = best_in_section(rows, groups), []
    for place, row in enumerate(rows):
        line: list[str | Score] = [BLOCKS[row["block"]], row["model"], method_label(row)]
        for count in ("trained_M", "all_M"):
            line.append(Score(millions(row[count]), (millions(row[f"paper_{count}"]),) * with_paper))
        for name in groups:
            published = (number(row[f"{name}_paper"]), signed(row[f"{name}_difference"])) if with_paper else ()
            line.append(Score(average_text(row, name), published, (place, name) in is_best))
        body.append([*line, markers(row, numbers)])
    beside = {3: ("paper",), 4: ("paper",), **{5 + n: ("paper", "difference") for n in range(len(groups))}}
    return Sheet(
        heading(suite, title),
        [*heads, NOTES],
        body,
        legend(rows, suite) if rows else [],
        names=3,
        notes=numbers,
        empty=EMPTY,
        beside=beside if with_paper else {},
        in_section=2,
        ours=frozenset(place for place, row in enumerate(rows) if row["method"] in CONES),
    )


def groups_in(rows: list[Row]) -> list[str]:
    """The groups in which the suite has any dataset."""
    return [name for name in GROUPS if any(row[f"{name}_datasets"] for row in rows)]


def legend(rows: list[Row], suite: str) -> list[str]:
    """The legend: explanations of what occurs in this table."""
    groups = groups_in(rows)
    sizes = ", ".join(f"{GROUPS[name].title} {_expected(rows, name)}" for name in groups)
    lines = [f"{AP_MEANS}, then over datasets ({sizes}).", *signs(rows, groups)]
    lines.append(PARAMETERS_MEAN)
    if stands_beside(suite):
        lines.append(
            "Difference from the paper: ours minus the published number, only over the paper's complete group."
        )
    return lines


def _expected(rows: list[Row], group: str) -> str:
    """The expected number of datasets, N of "n/N"; the largest where rows differ."""
    return max((row[f"{group}_datasets"].partition("/")[2] for row in rows), key=lambda n: int(n or 0))
