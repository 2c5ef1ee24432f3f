"""Answers at every level of a tree of classes: leaf accuracy, HCA and MTA (ProTeCt, arXiv 2306.02240)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cones.outputs.files import Row
from cones.outputs.sheet import NOTES, Sheet, blank_repeats
from cones.outputs.survey_numbers import LEGEND, Arm, arms_of, columns_of, label_of, over, records_of, shown
from cones.outputs.wording import heading, join_notes, markers, numbered_notes

if TYPE_CHECKING:
    from pandas import DataFrame

OUTPUT = {
    "name": "survey_hierarchy",
    "reads": "classification",
    "grids": ["survey"],
    "title": "Answers in trees of classes",
    "about": "Who takes a cat for a car is more wrong than who takes it for a dog: are the wider classes right too?",
    "decimals": 7,
}
MEASURES = {"leaf": "accuracy", "hca": "tree_consistent", "mta": "tree_cuts"}


def frame(cells: DataFrame, *, suite: str) -> DataFrame:
    """A row per model, dataset with a tree, number of shots and arm; no rows where no dataset has a tree."""
    import pandas as pd

    records, rows = records_of(cells), []
    in_tree = {record["dataset"] for record in records if record["tree_nodes"] or record["no_tree"]}
    parts = [(record["dataset"], record["shots"]) for record in records if record["dataset"] in in_tree]
    for dataset, shots in dict.fromkeys(parts):
        own = [record for record in records if (record["dataset"], record["shots"]) == (dataset, shots)]
        for arm in arms_of(record for record in own if record["target"] in (None, dataset)):
            row = {"suite": suite, "model": arm.model, "dataset": dataset, "shots": shots}
            row |= {"arm": arm.arm, "method": arm.method}
            for measure, column in MEASURES.items():
                row |= columns_of(measure, over(_values(arm, column)))
            why = dict.fromkeys(record["no_tree"] for record in arm.records if record["no_tree"])
            rows.append({**row, "notes": join_notes([*why, *arm.reasons()])})
    numbers = [f"{measure}_{kind}" for measure in MEASURES for kind in ("accuracy", "spread")]
    columns = ["suite", "model", "dataset", "shots", "arm", "method", *numbers, "notes"]
    return pd.DataFrame(rows, columns=columns).astype({"shots": "Int64"})


def _values(arm: Arm, column: str) -> dict[int, float]:
    """{seed: number}."""
    return {record["seed"]: record[column] for record in arm.records if record[column] is not None}


def sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> Sheet:
    """The table for people, made of the rows of the CSV file alone."""
    notes = numbered_notes(rows)
    body = [
        [
            *(row["model"], row["dataset"], row["shots"], label_of(row["arm"], row["method"])),
            *(shown(row, measure) for measure in MEASURES),
            markers(row, notes),
        ]
        for row in rows
    ]
    legend = [
        *LEGEND,
        "leaf: top-1 accuracy among the classes; HCA: images whose class is right and so is each choice among children"
        " on the way to it; MTA: mean accuracy over 25 random cuts of the tree, the same for every method.",
    ]
    heads, what = ["model", "dataset", "shots", "method", "leaf", "HCA", "MTA", NOTES], "Answers in trees of classes"
    return Sheet(heading(suite, title, what=what), heads, blank_repeats(body, 3), legend, names=4, notes=notes)
