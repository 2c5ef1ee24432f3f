"""Tables 8 and 10 for people, made of the rows of the CSV file alone."""

from __future__ import annotations

from cones.tables.detail import DETAIL_TABLES, datasets_in
from cones.tables.reference import paper
from cones.tables.sheet import NOTES, Sheet, said_once
from cones.tables.wording import (
    AP_MEANS,
    Row,
    ap,
    average,
    heading,
    markers,
    method_label,
    numbered_notes,
    published_lines,
    signs,
)


def detail_sheet(columns: list[str], rows: list[Row], table: str, *, suite: str, title: str | None = None) -> Sheet:
    """A column per dataset by its name in the paper, and the average.

    In the suite "paper" the published values and the differences are lines of their own below each method's.
    """
    datasets, numbers, body = datasets_in(columns), numbered_notes(rows), []
    for row in rows:
        aps = [*(ap(row, name) for name in datasets), average(row, "average")]
        body.append([row["block"], row["model"], method_label(row), *aps, markers(row, numbers)])
        if suite == "paper":
            for said, published in published_lines(row, [*datasets, "average"]).items():
                body.append([row["block"], row["model"], said, *published, ""])
    return Sheet(
        heading(suite, title, what=DETAIL_TABLES[table]),
        ["model", "method", *(label(table, name) for name in datasets), "average", NOTES],
        [line[1:] for line in said_once(body, 2)],  # every block names its model anew
        detail_legend(datasets, rows, suite),
        names=2,
        notes=numbers,
        empty=empty(table),
    )


def label(table: str, dataset: str) -> str:
    """A dataset's name in the paper, or its own where the paper does not have it."""
    return paper().labels(table).get(dataset, dataset)


def empty(table: str) -> str:
    return f"No cell of this suite belongs into {DETAIL_TABLES[table]}."


def detail_legend(datasets: list[str], rows: list[Row], suite: str) -> list[str]:
    """What a reader must know, as far as it occurs in this table."""
    lines = [f"{AP_MEANS}.", "average: unweighted, over datasets.", *signs(rows, [*datasets, "average"])]
    if suite == "paper":
        lines.append(
            "difference: ours minus the published number; that of the average only over the paper's complete table."
        )
    return lines
