"""Table 2 of the paper: models and methods against the box and mask AP of each instance segmentation dataset."""

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
from cones.outputs.reference import Reference, paper, stands_beside
from cones.outputs.rows import holes, parameters, published_parameters, rows_of, shots_of, with_shots
from cones.outputs.sheet import NOTES, Sheet
from cones.outputs.wording import (
    BLOCKS,
    PARAMETERS_MEAN,
    Row,
    ap,
    heading,
    join_notes,
    markers,
    method_label,
    millions,
    numbered_notes,
    published_lines,
)

if TYPE_CHECKING:
    from pandas import DataFrame

OUTPUT = {
    "name": "table2",
    "reads": "scores",
    "grids": ["table2"],
    "groups": ["segmentation"],
    "of_methods": True,
    "title": "Table 2: instance segmentation",
    "about": "The same methods on a model that predicts masks.",
}
NAMES = ("suite", "block", "model", "method", "trained_M", "all_M", "paper_trained_M", "paper_all_M")
NOT_PUBLISHED = "the paper has no row of this method in its Table 2"


def frame(cells: DataFrame, *, suite: str, reference: Reference | None = None) -> DataFrame:
    """One row per block, model and method (see `rows_of`); `cells` as `collect_cells` makes them.

    NAMES, then for each dataset with masks, in the paper's order and then those it does not have,
    `<dataset>_box_ap`, `<dataset>_box_spread` (half width of the 95 % t interval, from two seeds on) and the same of
    `mask`; `seeds` and `notes`. Behind each, where the paper `stands_beside`, the published value and ours minus it.
    """
    import pandas as pd

    reference = reference or paper()
    rows = list(rows_of(cells, (GROUP,), reference))
    present = dict.fromkeys(dataset for *_, mine in rows for dataset in mine["dataset"])
    ordered = dict.fromkeys([name for name in reference.labels("table2") if name in present] + list(present))
    names = [f"{dataset}_{kind}" for dataset in ordered for kind in KINDS]
    content = [
        {"suite": suite, "block": block, "model": model, "method": method, **_row(mine, names, suite, reference)}
        for block, model, method, mine in rows
    ]
    return pd.DataFrame(content, columns=with_shots([*NAMES, *columns_of(names, suite), "seeds", "notes"], content))


def datasets_in(columns: list[str]) -> list[str]:
    """The datasets that the header names, in its order."""
    return [column.removesuffix("_box_ap") for column in columns if column.endswith("_box_ap")]


def _row(cells: DataFrame, names: list[str], suite: str, reference: Reference) -> dict:
    """Everything of one row but its name; `cells` are those of one model and one method."""
    model, method = cells["model"].iloc[0], cells["method"].iloc[0]
    row, notes = parameters(cells)
    for dataset, kind, numbers in box_and_mask_ap(cells):
        row |= {f"{dataset}_{kind}_{part}": value for part, value in numbers.items()}
    notes += holes(cells) + remarks(cells)
    if not reference.rows("table2", method=method):
        notes.append(NOT_PUBLISHED)
    if stands_beside(suite):
        row |= published_parameters(model, method, reference, "table2")
        for name in names:
            known = name.rpartition("_")[0] in reference.labels("table2")
            row |= beside(row, name, reference.value("table2", model, method, name) if known else None)
        notes += [remark for _, remark in reference.remarks("table2", model, method)]
    return {**row, "seeds": seeds_behind(cells), "shots": shots_of(cells), "notes": join_notes(notes)}


def sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> Sheet:
    """The table for people: two columns per dataset by its name in the paper.

    Where the paper `stands_beside`, published values and differences are lines of their own below each method's.
    """
    datasets = datasets_in(columns)
    names = [f"{dataset}_{kind}" for dataset in datasets for kind in KINDS]
    labels = [f"{paper().labels('table2').get(dataset, dataset)} {kind}" for dataset in datasets for kind in KINDS]
    numbers, body = numbered_notes(rows), []
    for row in rows:
        place = [BLOCKS[row["block"]], row["model"]]
        counts = [millions(row["trained_M"]), millions(row["all_M"])]
        body.append([*place, method_label(row), *counts, *(ap(row, name) for name in names), markers(row, numbers)])
        if stands_beside(suite):
            theirs = [millions(row["paper_trained_M"]), millions(row["paper_all_M"])]
            for line, published in published_lines(row, names).items():
                body.append([*place, line, *(theirs if line == "paper" else ["", ""]), *published, ""])
    heads = ["block", "model", "method", "trained (M)", "all (M)", *labels, NOTES]
    legend = [AP_MEANS, PARAMETERS_MEAN, *box_mask_legend(rows, names, suite)]
    return Sheet(heading(suite, title, what="Table 2"), heads, body, legend, names=3, notes=numbers, in_section=2)
