"""Table 2 of the paper: models and methods against the box and mask AP of each instance segmentation dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cones.tables.averages import seeds_behind
from cones.tables.box_mask import GROUP, KINDS, beside, box_and_mask_ap, columns_of, remarks
from cones.tables.reference import Reference, paper
from cones.tables.rows import holes, parameters, published_parameters, rows_of
from cones.tables.wording import join_notes

if TYPE_CHECKING:
    from pandas import DataFrame

NAMES = ("suite", "block", "model", "method", "trained_M", "all_M", "paper_trained_M", "paper_all_M")
NOT_PUBLISHED = "the paper has no row of this method in its Table 2"


def table2(cells: DataFrame, *, suite: str, reference: Reference | None = None) -> DataFrame:
    """One row per block, model and method (see `rows_of`); `cells` as `collect_cells` makes them.

    NAMES, then for each dataset with masks, in the paper's order and then those it does not have,
    `<dataset>_box_ap`, `<dataset>_box_spread` (half width of the 95 % t interval, from two seeds on) and the same of
    `mask`; `seeds` and `notes`. The suite "paper" has the published value and ours minus it behind each.
    """
    import pandas as pd

    reference = reference or paper()
    rows = list(rows_of(cells, (GROUP,), reference))
    found = dict.fromkeys(dataset for *_, mine in rows for dataset in mine["dataset"])
    ordered = dict.fromkeys([name for name in reference.labels("table2") if name in found] + list(found))
    names = [f"{dataset}_{kind}" for dataset in ordered for kind in KINDS]
    content = [
        {"suite": suite, "block": block, "model": model, "method": method, **_row(mine, names, suite, reference)}
        for block, model, method, mine in rows
    ]
    return pd.DataFrame(content, columns=[*NAMES, *columns_of(names, suite), "seeds", "notes"])


def datasets_in(columns: list[str]) -> list[str]:
    """The datasets that the header names, in its order."""
    return [column.removesuffix("_box_ap") for column in columns if column.endswith("_box_ap")]


def _row(cells: DataFrame, names: list[str], suite: str, reference: Reference) -> dict:
    """Everything of one row but its name; `cells` are those of one model and one method."""
    model, method = cells["model"].iloc[0], cells["method"].iloc[0]
    row, notes = parameters(cells)
    for dataset, kind, ap in box_and_mask_ap(cells):
        row |= {f"{dataset}_{kind}_{part}": value for part, value in ap.items()}
    notes += holes(cells) + remarks(cells)
    if not reference.rows("table2", method=method):
        notes.append(NOT_PUBLISHED)
    if suite == "paper":
        row |= published_parameters(model, method, reference, "table2")
        for name in names:
            known = name.rpartition("_")[0] in reference.labels("table2")
            row |= beside(row, name, reference.value("table2", model, method, name) if known else None)
        notes += [remark for _, remark in reference.remarks("table2", model, method)]
    return {**row, "seeds": seeds_behind(cells), "notes": join_notes(notes)}
