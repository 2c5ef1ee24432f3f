"""Tables 2 and 4 for people: their Markdown twins, made of the rows of the CSV files alone."""

from __future__ import annotations

from cones.tables.box_mask import KINDS
from cones.tables.reference import paper
from cones.tables.table2 import datasets_in
from cones.tables.table4 import LOSSES
from cones.tables.wording import (
    BLOCKS,
    Row,
    ap,
    heading,
    markers,
    md_line,
    md_page,
    method_label,
    millions,
    numbered_notes,
    published_lines,
    signs,
)

AP_MEANS = (
    "box, mask: COCO AP at IoU .50:.95 in percent, on the test split, of the weights whose masks were best on"
    " validation; mean over seeds."
)
PARAMETERS_MEAN = "trained, all: parameters in millions, counted as the paper does (256 learnable vectors)."
DIFFERENCE_MEANS = "difference: ours minus the published number."
CHECK = "\u2713"


def table2_markdown(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> str:
    """A Markdown page: title with the suite, two columns per dataset by its name in the paper, legend and notes.

    In the suite "paper" the published values and the differences are lines of their own below each method's.
    """
    datasets = datasets_in(columns)
    names = [f"{dataset}_{kind}" for dataset in datasets for kind in KINDS]
    labels = [f"{paper().labels('table2').get(dataset, dataset)} {kind}" for dataset in datasets for kind in KINDS]
    lines, previous = [], ("", "")
    for row, marks in _marked(rows):
        place = (row["block"], row["model"])
        shown = ["" if place[0] == previous[0] else BLOCKS[row["block"]], "" if place == previous else row["model"]]
        counts = [millions(row["trained_M"]), millions(row["all_M"])]
        lines.append([*shown, method_label(row), *counts, *(ap(row, name) for name in names), marks])
        if suite == "paper":
            theirs = [millions(row["paper_trained_M"]), millions(row["paper_all_M"])]
            for said, numbers in published_lines(row, names).items():
                lines.append(["", "", said, *(theirs if said == "paper" else ["", ""]), *numbers, ""])
        previous = place
    heads = ["block", "model", "method", "trained (M)", "all (M)", *labels, "notes"]
    legend = [AP_MEANS, PARAMETERS_MEAN, *_legend(rows, names, suite)]
    return _page(heading(suite, title, what="Table 2"), heads, 3, lines, legend, rows)


def table4_markdown(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> str:
    """A Markdown page: title with the suite, a check mark for each loss, box and mask AP, legend and notes."""
    lines, previous = [], ("", "")
    for row, marks in _marked(rows):
        place = (row["model"], row["dataset"])
        shown = list(place) if place != previous else ["", ""]
        losses = [CHECK if row[name] else "" for name in LOSSES]
        lines.append([*shown, *losses, *(ap(row, kind) for kind in KINDS), marks])
        if suite == "paper":
            for said, numbers in published_lines(row, list(KINDS)).items():
                lines.append(["", said, *[""] * len(LOSSES), *numbers, ""])
        previous = place
    heads = ["model", "dataset", *LOSSES.values(), *KINDS, "notes"]
    legend = [AP_MEANS, f"{CHECK}: this loss trains the concept embeddings.", *_legend(rows, list(KINDS), suite)]
    return _page(heading(suite, title, what="Table 4"), heads, 2 + len(LOSSES), lines, legend, rows)


def _marked(rows: list[Row]) -> list[tuple[Row, str]]:
    """(row, the numbers of its notes)"""
    numbers = numbered_notes(rows)
    return [(row, markers(row, numbers)) for row in rows]


def _legend(rows: list[Row], names: list[str], suite: str) -> list[str]:
    return signs(rows, names) + ([DIFFERENCE_MEANS] if suite == "paper" else [])


def _page(what: str, heads: list[str], named: int, lines: list[list[str]], legend: list[str], rows: list[Row]) -> str:
    """The first `named` columns and the last say what a row is, those between hold its numbers."""
    if not rows:
        return f"# {what}\n\nNo cell of this suite belongs into this table.\n"
    rule = ["---"] * named + ["--:"] * (len(heads) - named - 1) + ["---"]
    table = "\n".join(map(md_line, [heads, rule, *lines]))
    return md_page(what, table, legend, numbered_notes(rows))
