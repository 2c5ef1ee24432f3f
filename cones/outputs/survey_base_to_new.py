"""Base to new: trained on the first half of the classes, scored on both halves, each over its own classes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cones.evaluation.accuracy import harmonic_mean
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
    over,
    records_of,
    shown,
)
from cones.outputs.wording import heading, join_notes, markers, number, numbered_notes

if TYPE_CHECKING:
    from pandas import DataFrame

OUTPUT = {
    "name": "survey_base_to_new",
    "reads": "classification",
    "grids": ["survey_base_to_new"],
    "setting": "base_to_new",
    "one_number": True,
    "title": "From base to new classes",
    "about": "Half of the classes have labelled images: what is left of the other half?",
    "figures": ["survey_base_to_new"],
    "further": ["survey_base_to_new_cells.csv"],
    "decimals": 7,
}
HALVES = ("base", "new")


def frame(cells: DataFrame, *, suite: str) -> DataFrame:
    """A row per model, dataset ("all" is the mean over them), and arm.

    `harmonic` is 2 base new / (base + new) of the means in the row; of "all" that of the mean over datasets. A method
    without an entry for new classes has neither.
    """
    import pandas as pd

    records = records_of(cells)
    datasets, rows = datasets_of(records), []
    for dataset in (ALL, *datasets):
        for arm in arms_of(records):
            row = {"suite": suite, "model": arm.model, "dataset": dataset, "arm": arm.arm, "method": arm.method}
            row["shots"] = arm.largest("shots")
            for half in HALVES:
                row |= columns_of(half, _spread(arm, half, dataset, datasets))
            row["harmonic"] = harmonic(row["base_accuracy"], row["new_accuracy"])
            rows.append({**row, "notes": join_notes([*_why(arm, dataset), *(arm.notes() if dataset == ALL else [])])})
    numbers = [f"{half}_{kind}" for half in HALVES for kind in ("accuracy", "spread")]
    columns = ["suite", "model", "dataset", "arm", "method", "shots", *numbers, "harmonic", "notes"]
    return pd.DataFrame(rows, columns=columns).astype({"shots": "Int64"})


def _spread(arm: Arm, half: str, dataset: str, datasets: list[str]):
    by_dataset = {name: arm.of(name, half) for name in datasets}
    if dataset != ALL:
        return over(by_dataset[dataset])
    return mean_over(by_dataset) if all(by_dataset.values()) else None


def _why(arm: Arm, dataset: str) -> list[str]:
    """Why a half has no number."""
    mine = [r for r in arm.records if dataset in (ALL, r["dataset"]) and r["no_accuracy"]]
    return list(dict.fromkeys(f"{record['target']}: {record['no_accuracy']}" for record in mine))


def harmonic(base: float | None, new: float | None) -> float | None:
    """The harmonic mean of two percentages; None without either, 0 where one is 0."""
    return None if base is None or new is None else harmonic_mean(base, new)


def further(cells: DataFrame, *, suite: str) -> dict[str, DataFrame]:
    return {"survey_base_to_new_cells.csv": cells}


def draw(cells: DataFrame, rows: list[Row], files: Mapping[str, Path], *, suite: str, title: str) -> list[Path]:
    from cones.outputs.survey_figures import save_base_to_new

    return save_base_to_new(rows, files["survey_base_to_new"], suite=suite, title=title)


def sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> Sheet:
    """The table for people, made of the rows of the CSV file alone."""
    notes = numbered_notes(rows)
    body = [
        [
            *(row["model"], "mean" if row["dataset"] == ALL else row["dataset"], label_of(row["arm"], row["method"])),
            *(shown(row, half) for half in HALVES),
            number(row["harmonic"]),
            markers(row, notes),
        ]
        for row in rows
    ]
    legend = [
        *LEGEND,
        "base: the first half of the classes, rounded up, whose images were trained on; new: the others. Each half is"
        " scored over its own classes. H: harmonic mean of the two numbers of the row.",
    ]
    heads, what = ["model", "dataset", "method", "base", "new", "H", NOTES], "From base to new classes"
    return Sheet(heading(suite, title, what=what), heads, blank_repeats(body, 2), legend, names=3, notes=notes)
