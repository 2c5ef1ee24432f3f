"""Arms by datasets: the starts of vectors, and the variants of a protocol that the paper leaves ambiguous."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cones.methods.method import METHODS
from cones.outputs.averages import per_dataset, seeds_behind
from cones.outputs.files import Row
from cones.outputs.reference import paper
from cones.outputs.rows import holes
from cones.outputs.sheet import NOTES, Sheet, blank_repeats
from cones.outputs.wording import AP_MEANS, ap, heading, join_notes, markers, numbered_notes, signs

if TYPE_CHECKING:
    from pandas import DataFrame

OUTPUT = [
    {
        "name": "starts",
        "reads": "scores",
        "grids": ["starts"],
        "title": "Starts",
        "about": "The spread of the random start, which the paper does not state, of every method with vectors.",
    },
    {
        "name": "variants",
        "reads": "scores",
        "grids": ["variants"],
        "title": "Variants of the protocol",
        "about": "Where the paper's protocol or its table of datasets is ambiguous, both readings side by side.",
    },
]


def frame(cells: DataFrame, *, suite: str) -> DataFrame:
    """One row per model and arm, in the order of the grid; `cells` as `collect_cells` makes them.

    `<dataset>_ap`, `_spread`: mean and half width of the 95 % t interval over seeds.
    """
    import pandas as pd

    datasets, rows = list(dict.fromkeys(cells["dataset"])), []
    for (model, arm, method), mine in cells.groupby(["model", "arm", "method"], sort=False):
        row: dict = {"suite": suite, "model": model, "arm": arm, "method": method}
        for dataset, aps in per_dataset(mine).items():
            row |= {f"{dataset}_ap": aps.mean, f"{dataset}_spread": aps.half_width}
        rows.append({**row, "seeds": seeds_behind(mine), "notes": join_notes(holes(mine))})
    numbers = [f"{dataset}_{part}" for dataset in datasets for part in ("ap", "spread")]
    return pd.DataFrame(rows, columns=["suite", "model", "arm", "method", *numbers, "seeds", "notes"])


def sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> Sheet:
    """The table for people, made of the rows of the CSV file alone."""
    datasets = [column.removesuffix("_ap") for column in columns if column.endswith("_ap")]
    labels = {**paper().labels("table8"), **paper().labels("table10")}
    numbers = numbered_notes(rows)
    body = [
        [
            row["model"],
            METHODS[row["arm"]].label if row["arm"] in METHODS else row["arm"],
            *(ap(row, name) for name in datasets),
            row["seeds"],
            markers(row, numbers),
        ]
        for row in rows
    ]
    heads = ["model", "method or arm", *(labels.get(name, name) for name in datasets), "seeds"]
    legend = [
        f"{AP_MEANS}.",
        "What an arm or a dataset changes stands in the suite's configuration.",
        *signs(rows, datasets),
    ]
    return Sheet(
        heading(suite, title, what="Variants"), [*heads, NOTES], blank_repeats(body, 1), legend, names=2, notes=numbers
    )
