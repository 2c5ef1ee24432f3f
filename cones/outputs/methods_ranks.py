"""Ranks of the survey's methods on detectors over datasets, with ConES against each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cones.outputs.averages import per_dataset
from cones.outputs.files import Row
from cones.outputs.methods_rows import ArmCells, champion, rows_with_matches
from cones.outputs.ranks import COLUMNS, model_rows
from cones.outputs.ranks import sheet as ranks_sheet
from cones.outputs.reads.costs import CostedCells
from cones.outputs.sheet import Sheet
from cones.outputs.wording import join_notes

if TYPE_CHECKING:
    from pandas import DataFrame

OUTPUT = {
    "name": "methods_ranks",
    "reads": "costs",
    "grids": ["methods"],
    "also": ["methods_modern", "methods_masks"],
    "title": "Ranks of the survey on detectors",
    "about": "Which differences between methods are more than noise? Datasets are the sample here.",
}


def frame(source: CostedCells, *, suite: str) -> DataFrame:
    """One row (`ranks.COLUMNS`, the arm as `method`) per model and arm that is no match, as `ranks.frame` makes them.

    The best mean rank first; an arm that lacks a dataset on which others have an AP is not ranked, and says so. Against
    each arm stands ConES: its stage 2 if the arm trains the image encoder.
    """
    import pandas as pd

    by_model: dict[str, dict[str, ArmCells]] = {}
    for row, *_ in rows_with_matches(source):
        by_model.setdefault(row.model, {})[row.arm] = row
    rows = [row for model, arms in by_model.items() for row in _of_model(suite, model, arms)]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(("wins", "ties", "losses"), "Int64"))


def _of_model(suite: str, model: str, arms: dict[str, ArmCells]) -> list[dict]:
    means = {name: {dataset: aps.mean for dataset, aps in per_dataset(arm.cells).items()} for name, arm in arms.items()}
    every = {dataset for known in means.values() for dataset in known}
    lacks = {name: sorted(every - set(known)) for name, known in means.items()}
    ranked = {name: (arms[name].block, means[name]) for name in arms if not lacks[name]}
    rows = model_rows(suite, model, ranked, lambda block, name: champion(arms[name].method, ranked)) if ranked else []
    rows.sort(key=lambda row: row["mean_rank"] or 0)
    for name, missing in lacks.items():
        if missing:
            key = {"suite": suite, "block": arms[name].block, "model": model, "method": name, "datasets": 0}
            rows.append({**key, "notes": join_notes([f"not ranked: no AP on {', '.join(missing)}"])})
    return rows


def sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> Sheet:
    return ranks_sheet(columns, rows, suite=suite, title=title, what="Ranks of the survey on detectors")
