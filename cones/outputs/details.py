"""Frame and sheet that Tables 8 and 10 share: models and methods against the AP of every dataset of their groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cones.outputs.averages import average, per_dataset, scored, seeds_behind
from cones.outputs.best import best_in_section
from cones.outputs.reference import GROUPS, Reference, paper, stands_beside
from cones.outputs.rows import CONES, holes, mixed_shots, other_datasets, rows_of, shots_of, with_shots
from cones.outputs.sheet import NOTES, Score, Sheet
from cones.outputs.wording import (
    AP_MEANS,
    BLOCKS,
    Row,
    ap,
    heading,
    join_notes,
    markers,
    method_label,
    number,
    numbered_notes,
    signed,
    signs,
)
from cones.outputs.wording import average as average_text

if TYPE_CHECKING:
    from pandas import DataFrame

DETAIL_TABLES = {"table8": "Table 8", "table10": "Table 10"}
NAMES = ("suite", "block", "model", "method")
PARTS = ("ap", "spread")
BESIDE = ("paper", "difference")
AVERAGE = "average"


def detail_frame(cells: DataFrame, table: str, *, suite: str, reference: Reference | None = None) -> DataFrame:
    """One row per block, model and method (see `rows_of`); `cells` as `collect_cells` makes them.

    For each dataset of the groups whose details the paper gives in `table`, in the paper's order and then datasets it
    does not have: `<dataset>_ap` (mean over seeds) and `<dataset>_spread` (half width of the 95 % t interval, from two
    seeds on). Behind them `average_ap`, `average_datasets` ("11/13"), `average_spread` as `average` makes them,
    `seeds`, and `notes` as in Table 1. Where the paper `stands_beside`, `<…>_paper` has the published values and
    `<…>_difference` ours minus theirs; that of the average is taken only over exactly the paper's datasets.
    """
    import pandas as pd

    reference = reference or paper()
    groups = [name for name, group in GROUPS.items() if group.detail_table == table]
    rows = list(rows_of(cells, groups, reference))
    present = dict.fromkeys(dataset for *_, mine in rows for dataset in mine["dataset"])
    datasets = [name for name in reference.labels(table) if name in present]
    datasets += [name for name in present if name not in datasets]
    content = [
        {"suite": suite, "block": block, "model": model, "method": method, **_row(mine, table, suite, reference)}
        for block, model, method, mine in rows
    ]
    return pd.DataFrame(content, columns=with_shots(_columns(datasets, suite), content))


def _columns(datasets: list[str], suite: str) -> list[str]:
    beside = BESIDE if stands_beside(suite) else ()
    dataset_columns = [f"{dataset}_{part}" for dataset in datasets for part in (*PARTS, *beside)]
    average_columns = [f"average_{part}" for part in ("ap", "datasets", "spread", *beside)]
    return [*NAMES, *dataset_columns, *average_columns, "seeds", "notes"]


def datasets_in(columns: list[str]) -> list[str]:
    """The datasets that a detail table's header names, in its order."""
    names = [column.removesuffix("_ap") for column in columns if column.endswith("_ap")]
    return [name for name in names if name != "average"]


def _row(cells: DataFrame, table: str, suite: str, reference: Reference) -> dict:
    """Everything of one row but its name; `cells` are those of one model and one method."""
    row: dict = {f"average_{part}": value for part, value in average(cells).items()}
    for dataset, aps in per_dataset(cells).items():
        row |= {f"{dataset}_ap": aps.mean, f"{dataset}_spread": aps.half_width}
    notes = mixed_shots(AVERAGE, cells) + holes(cells)
    if stands_beside(suite):
        model, method = cells["model"].iloc[0], cells["method"].iloc[0]
        row |= _published(row, cells, table, reference)
        notes += [remark for _, remark in reference.remarks(table, model, method)]
        notes += other_datasets("average", set(cells["dataset"]), set(reference.labels(table)))
    row |= {"seeds": seeds_behind(cells), "shots": shots_of(cells)}
    row["notes"] = join_notes(notes)
    return row


def _published(row: dict, cells: DataFrame, table: str, reference: Reference) -> dict:
    """`<…>_paper` and `<…>_difference` of each dataset and of the average, where there are both numbers."""
    model, method = cells["model"].iloc[0], cells["method"].iloc[0]
    columns = {dataset: dataset for dataset in reference.labels(table)} | {"average": "avg_reported"}
    comparable = set(row)
    if set(cells.loc[scored(cells), "dataset"]) != set(reference.labels(table)):
        comparable.discard("average_ap")
    published = {}
    for name, column in columns.items():
        value = reference.value(table, model, method, column)
        published[f"{name}_paper"] = value
        if value is not None and f"{name}_ap" in comparable:
            published[f"{name}_difference"] = row[f"{name}_ap"] - value
    return published


# ---------------------------------------------------------------------------------------------------------- for people


def detail_sheet(columns: list[str], rows: list[Row], table: str, *, suite: str, title: str | None = None) -> Sheet:
    """The table for people: a column per dataset by its name in the paper, and the average.

    Where the paper `stands_beside`, published values and differences are lines of their own below each method's.
    """
    datasets, numbers, with_paper = datasets_in(columns), numbered_notes(rows), stands_beside(suite)
    names = [*datasets, AVERAGE]
    is_best, body = best_in_section(rows, names), []
    for place, row in enumerate(rows):
        line: list[str | Score] = [BLOCKS[row["block"]], row["model"], method_label(row)]
        for name in names:
            text = average_text(row, name) if name == AVERAGE else ap(row, name)
            published = (number(row[f"{name}_paper"]), signed(row[f"{name}_difference"])) if with_paper else ()
            line.append(Score(text, published, (place, name) in is_best))
        body.append([*line, markers(row, numbers)])
    return Sheet(
        heading(suite, title, what=DETAIL_TABLES[table]),
        ["block", "model", "method", *(label(table, name) for name in datasets), AVERAGE, NOTES],
        body,
        detail_legend(datasets, rows, suite),
        names=3,
        notes=numbers,
        empty=f"No cell of this suite belongs into {DETAIL_TABLES[table]}.",
        beside={3 + n: BESIDE for n in range(len(names))} if with_paper else {},
        as_lines=True,
        in_section=2,
        not_in_markdown=1,  # every block names its model anew
        ours=frozenset(place for place, row in enumerate(rows) if row["method"] in CONES),
        hints={3 + n: "mean over datasets" if name == AVERAGE else name for n, name in enumerate(names)},
    )


def label(table: str, dataset: str) -> str:
    """A dataset's name in the paper, or its own where the paper does not have it."""
    return paper().labels(table).get(dataset, dataset)


def detail_legend(datasets: list[str], rows: list[Row], suite: str) -> list[str]:
    """The legend: explanations of what occurs in this table."""
    lines = [f"{AP_MEANS}.", "average: unweighted, over datasets.", *signs(rows, [*datasets, AVERAGE])]
    if stands_beside(suite):
        lines.append(
            "difference: ours minus the published number; that of the average only over the paper's complete table."
        )
    return lines
