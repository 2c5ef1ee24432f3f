"""Accuracy over the number of labelled images a class."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cones.outputs.files import Row
from cones.outputs.sheet import NOTES, Sheet, blank_repeats
from cones.outputs.survey_numbers import (
    ALL,
    LEGEND,
    Arm,
    arms_of,
    columns_of,
    datasets_of,
    label_of,
    mean_over,
    names_in,
    over,
    records_of,
    shown,
)
from cones.outputs.wording import heading, join_notes, markers, numbered_notes

if TYPE_CHECKING:
    from pandas import DataFrame

OUTPUT = {
    "name": "survey_few_shot",
    "reads": "classification",
    "grids": ["survey_few_shot"],
    "setting": "few_shot",
    "title": "Accuracy over shots",
    "about": "How much does each method gain from more labelled images?",
    "figures": ["survey_few_shot"],
    "further": ["survey_few_shot_cells.csv"],
    "decimals": 7,
}


def frame(cells: DataFrame, *, suite: str) -> DataFrame:
    """A row per model, dataset ("all" is the mean over them) and arm; <shots>_accuracy and <shots>_spread."""
    import pandas as pd

    records = records_of(cells)
    datasets, shots = datasets_of(records), sorted({record["shots"] for record in records})
    rows = []
    for dataset in (ALL, *datasets):
        for arm in arms_of(records):
            row = {"suite": suite, "model": arm.model, "dataset": dataset, "arm": arm.arm, "method": arm.method}
            for number in shots:
                mine = Arm(arm.model, arm.arm, arm.method, [r for r in arm.records if r["shots"] == number])
                by_dataset = {name: mine.of(name) for name in datasets}
                is_whole = all(by_dataset.values())
                if dataset == ALL:
                    row |= columns_of(str(number), mean_over(by_dataset) if is_whole else None)
                else:
                    row |= columns_of(str(number), over(by_dataset[dataset]))
            rows.append({**row, "notes": join_notes(arm.notes() if dataset == ALL else [])})
    numbers = [f"{number}_{kind}" for number in shots for kind in ("accuracy", "spread")]
    return pd.DataFrame(rows, columns=["suite", "model", "dataset", "arm", "method", *numbers, "notes"])


def further(cells: DataFrame, *, suite: str) -> dict[str, DataFrame]:
    return {"survey_few_shot_cells.csv": cells}


def draw(cells: DataFrame, rows: list[Row], files: Mapping[str, Path], *, suite: str, title: str) -> list[Path]:
    from cones.outputs.survey_figures import save_curves

    return save_curves(rows, files["survey_few_shot"], suite=suite, title=title)


def sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> Sheet:
    """The table for people, made of the rows of the CSV file alone."""
    notes, shots = numbered_notes(rows), names_in(columns)
    body = [
        [
            *(row["model"], "mean" if row["dataset"] == ALL else row["dataset"], label_of(row["arm"], row["method"])),
            *(shown(row, number) for number in shots),
            markers(row, notes),
        ]
        for row in rows
    ]
    heads = ["model", "dataset", "method", *(f"{number} shot{'s' * (number != '1')}" for number in shots), NOTES]
    legend = [*LEGEND, "mean: over all datasets of the suite; none where one of them has no number."]
    what, body = "Accuracy over shots", blank_repeats(body, 2)
    return Sheet(heading(suite, title, what=what), heads, body, legend, names=3, notes=notes)
