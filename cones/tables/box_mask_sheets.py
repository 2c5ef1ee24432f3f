"""Tables 2 and 4 for people, made of the rows of the CSV files alone."""

from __future__ import annotations

from cones.tables.box_mask import KINDS
from cones.tables.reference import paper
from cones.tables.sheet import NOTES, Sheet, said_once
from cones.tables.table2 import datasets_in
from cones.tables.table4 import LOSSES
from cones.tables.wording import (
    BLOCKS,
    DIFFERENCE_MEANS,
    PARAMETERS_MEAN,
    Row,
    ap,
    heading,
    markers,
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
CHECK = "\u2713"


def table2_sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> Sheet:
    """Two columns per dataset by its name in the paper.

    In the suite "paper" the published values and the differences are lines of their own below each method's.
    """
    datasets = datasets_in(columns)
    names = [f"{dataset}_{kind}" for dataset in datasets for kind in KINDS]
    labels = [f"{paper().labels('table2').get(dataset, dataset)} {kind}" for dataset in datasets for kind in KINDS]
    numbers, body = numbered_notes(rows), []
    for row in rows:
        place = [BLOCKS[row["block"]], row["model"]]
        counts = [millions(row["trained_M"]), millions(row["all_M"])]
        body.append([*place, method_label(row), *counts, *(ap(row, name) for name in names), markers(row, numbers)])
        if suite == "paper":
            theirs = [millions(row["paper_trained_M"]), millions(row["paper_all_M"])]
            for said, published in published_lines(row, names).items():
                body.append([*place, said, *(theirs if said == "paper" else ["", ""]), *published, ""])
    heads = ["block", "model", "method", "trained (M)", "all (M)", *labels, NOTES]
    legend = [AP_MEANS, PARAMETERS_MEAN, *_legend(rows, names, suite)]
    return Sheet(heading(suite, title, what="Table 2"), heads, said_once(body, 2), legend, names=3, notes=numbers)


def table4_sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> Sheet:
    """A check mark for each loss, box and mask AP; in the suite "paper" with lines for the published values."""
    numbers, body = numbered_notes(rows), []
    for row in rows:
        place, losses = [row["model"], row["dataset"]], [CHECK if row[name] else "" for name in LOSSES]
        body.append([*place, *losses, *(ap(row, kind) for kind in KINDS), markers(row, numbers)])
        if suite == "paper":
            for said, published in published_lines(row, list(KINDS)).items():
                body.append([*place, said, *[""] * (len(LOSSES) - 1), *published, ""])
    heads = ["model", "dataset", *LOSSES.values(), *KINDS, NOTES]
    legend = [AP_MEANS, f"{CHECK}: this loss trains the concept embeddings.", *_legend(rows, list(KINDS), suite)]
    named = 2 + len(LOSSES)
    return Sheet(heading(suite, title, what="Table 4"), heads, said_once(body, 2), legend, names=named, notes=numbers)


def _legend(rows: list[Row], names: list[str], suite: str) -> list[str]:
    return signs(rows, names) + ([DIFFERENCE_MEANS] if suite == "paper" else [])
