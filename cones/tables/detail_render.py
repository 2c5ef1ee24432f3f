"""Tables 8 and 10 for people: a Markdown twin, made of the rows of the CSV file alone."""

from __future__ import annotations

from cones.tables.detail import DETAIL_TABLES, datasets_in
from cones.tables.reference import paper
from cones.tables.wording import (
    AP_MEANS,
    Row,
    ap,
    average,
    heading,
    markers,
    md_line,
    md_page,
    method_label,
    numbered_notes,
    published_lines,
    signs,
)


def detail_markdown(columns: list[str], rows: list[Row], table: str, *, suite: str, title: str | None = None) -> str:
    """A Markdown page: title with the suite, a column per dataset by its name in the paper, legend and notes.

    In the suite "paper" the published values and the differences are lines of their own below each method's.
    """
    what = heading(suite, title, what=DETAIL_TABLES[table])
    if not rows:
        return f"# {what}\n\n{empty(table)}\n"
    datasets, numbers = datasets_in(columns), numbered_notes(rows)
    labels = [label(table, name) for name in datasets]
    lines = [
        md_line(["model", "method", *labels, "average", "notes"]),
        md_line(["---", "---", *["--:"] * (len(labels) + 1), "---"]),
    ]
    previous = None
    for row in rows:
        place = (row["block"], row["model"])
        model, previous = "" if place == previous else row["model"], place
        aps = [*(ap(row, name) for name in datasets), average(row, "average")]
        lines.append(md_line([model, method_label(row), *aps, markers(row, numbers)]))
        if suite == "paper":
            for said, numbers_beside in published_lines(row, [*datasets, "average"]).items():
                lines.append(md_line(["", said, *numbers_beside, ""]))
    return md_page(what, "\n".join(lines), detail_legend(datasets, rows, suite), numbers)


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
