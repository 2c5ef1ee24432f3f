"""Table 4 of the paper: which losses the concept embeddings are searched with, against box and mask AP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cones.outputs.averages import seeds_behind
from cones.outputs.box_mask import (
    AP_MEANS,
    GROUP,
    KINDS,
    beside,
    box_and_mask_ap,
    box_mask_legend,
    columns_of,
    remarks,
)
from cones.outputs.cells import ALL_LOSSES
from cones.outputs.files import Row
from cones.outputs.reference import Reference, paper, stands_beside
from cones.outputs.rows import holes
from cones.outputs.sheet import NOTES, Sheet, blank_repeats
from cones.outputs.wording import ap, heading, join_notes, markers, numbered_notes, published_lines

if TYPE_CHECKING:
    from pandas import DataFrame

OUTPUT = {
    "name": "table4",
    "reads": "scores",
    "grids": ["table4"],
    "groups": ["segmentation"],
    "title": "Table 4: losses",
    "about": "Which losses the concept embeddings are searched with.",
}
LOSSES = {"classification": "L_cls", "box": "L_box", "mask": "L_mask"}  # as here, as in the paper
NAMES = ("suite", "model", "dataset", "arm", *LOSSES)
METHOD = "cones"
CHECK = "\u2713"
INFERRED = "the check marks of the paper's row are lost; which losses it has is inferred from the prose and the numbers"


def frame(cells: DataFrame, *, suite: str, reference: Reference | None = None) -> DataFrame:
    """One row per model, dataset and arm of ConES, in the order of the grid; `cells` as `collect_cells` makes them.

    NAMES (a loss is "yes" or empty), `box_ap`, `box_spread`, `mask_ap`, `mask_spread` as in Table 2, `seeds`, `notes`.
    Behind each, where the paper `stands_beside`, the published value of the row with the same losses and ours minus it.
    """
    import pandas as pd

    reference = reference or paper()
    cells = cells[(cells["method"] == METHOD) & (cells["group"] == GROUP)]
    rows = [
        {"suite": suite, "model": model, "dataset": dataset, "arm": arm, **_row(mine, suite, reference)}
        for (model, dataset, arm), mine in cells.groupby(["model", "dataset", "arm"], sort=False)
    ]
    return pd.DataFrame(rows, columns=[*NAMES, *columns_of(list(KINDS), suite), "seeds", "notes"])


def _row(cells: DataFrame, suite: str, reference: Reference) -> dict:
    """Everything of one row but its name; `cells` are the seeds of one model, dataset and arm."""
    groups = cells["losses"].iloc[0].split("+")
    trained = {name: name in groups or groups == list(ALL_LOSSES) for name in LOSSES}
    row: dict = {name: "yes" if is_trained else None for name, is_trained in trained.items()}
    for _, kind, numbers in box_and_mask_ap(cells):
        row |= {f"{kind}_{part}": value for part, value in numbers.items()}
    notes = holes(cells) + remarks(cells)
    if stands_beside(suite):
        marks = {LOSSES[name]: int(is_trained) for name, is_trained in trained.items()}
        model, dataset = cells["model"].iloc[0], cells["dataset"].iloc[0]
        theirs = next(iter(reference.rows("table4", model=model, dataset=dataset, **marks)), {})
        for kind in KINDS:
            row |= beside(row, kind, theirs.get(f"AP_{kind}"))
        notes += [INFERRED] if theirs.get("row_losses_source") == "inferred" else []
    return {**row, "seeds": seeds_behind(cells), "notes": join_notes(notes)}


def sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> Sheet:
    """The table for people: a check mark for each loss, box and mask AP; lines for the published values where the paper
    `stands_beside`."""
    numbers, body = numbered_notes(rows), []
    for row in rows:
        place, losses = [row["model"], row["dataset"]], [CHECK if row[name] else "" for name in LOSSES]
        body.append([*place, *losses, *(ap(row, kind) for kind in KINDS), markers(row, numbers)])
        if stands_beside(suite):
            for line, published in published_lines(row, list(KINDS)).items():
                body.append([*place, line, *[""] * (len(LOSSES) - 1), *published, ""])
    heads = ["model", "dataset", *LOSSES.values(), *KINDS, NOTES]
    legend = [
        AP_MEANS,
        f"{CHECK}: this loss trains the concept embeddings.",
        *box_mask_legend(rows, list(KINDS), suite),
    ]
    named = 2 + len(LOSSES)
    return Sheet(
        heading(suite, title, what="Table 4"), heads, blank_repeats(body, 2), legend, names=named, notes=numbers
    )
