"""Table 4 of the paper: which losses the concept embeddings are searched with, against box and mask AP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cones.tables.averages import seeds_behind
from cones.tables.box_mask import GROUP, KINDS, beside, box_and_mask_ap, columns_of, remarks
from cones.tables.cells import ALL_LOSSES
from cones.tables.reference import Reference, paper
from cones.tables.rows import holes
from cones.tables.wording import join_notes

if TYPE_CHECKING:
    from pandas import DataFrame

LOSSES = {"classification": "L_cls", "box": "L_box", "mask": "L_mask"}  # as here, as in the paper
NAMES = ("suite", "model", "dataset", "arm", *LOSSES)
METHOD = "cones"
INFERRED = "the check marks of the paper's row are lost; which losses it has is inferred from the prose and the numbers"


def table4(cells: DataFrame, *, suite: str, reference: Reference | None = None) -> DataFrame:
    """One row per model, dataset and arm of ConES, in the order of the grid; `cells` as `collect_cells` makes them.

    NAMES (a loss is "yes" or empty), `box_ap`, `box_spread`, `mask_ap`, `mask_spread` as in Table 2, `seeds`, `notes`.
    The suite "paper" has the published value of the row with the same losses and ours minus it behind each.
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
    for _, kind, ap in box_and_mask_ap(cells):
        row |= {f"{kind}_{part}": value for part, value in ap.items()}
    notes = holes(cells) + remarks(cells)
    if suite == "paper":
        marks = {LOSSES[name]: int(is_trained) for name, is_trained in trained.items()}
        model, dataset = cells["model"].iloc[0], cells["dataset"].iloc[0]
        theirs = next(iter(reference.rows("table4", model=model, dataset=dataset, **marks)), {})
        for kind in KINDS:
            row |= beside(row, kind, theirs.get(f"AP_{kind}"))
        notes += [INFERRED] if theirs.get("row_losses_source") == "inferred" else []
    return {**row, "seeds": seeds_behind(cells), "notes": join_notes(notes)}
