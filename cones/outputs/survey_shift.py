"""Shift: trained on one dataset, scored on others, such as copies of it that look different."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cones.outputs.files import Row
from cones.outputs.sheet import NOTES, Sheet, blank_repeats
from cones.outputs.survey_numbers import LEGEND, arms_of, columns_of, label_of, names_in, over, records_of, shown
from cones.outputs.wording import heading, join_notes, markers, numbered_notes

if TYPE_CHECKING:
    from pandas import DataFrame

OUTPUT = {
    "name": "survey_shift",
    "reads": "classification",
    "grids": ["survey_shift"],
    "setting": "few_shot",
    "one_number": True,
    "title": "Shifted and other datasets",
    "about": "Fitted on one dataset: what is left on images that look different, or on other classes?",
    "further": ["survey_shift_cells.csv"],
    "decimals": 7,
}
SOURCE = "source"


def frame(cells: DataFrame, *, suite: str) -> DataFrame:
    """A row per model, source and arm: source_accuracy is that on the source's own test images, <target>_accuracy that
    of each other dataset."""
    import pandas as pd

    records = records_of(cells)
    targets = [r["target"] for r in records if r["target"] is not None and r["target"] != r["dataset"]]
    targets, rows = list(dict.fromkeys(targets)), []
    for source in dict.fromkeys(record["dataset"] for record in records):
        for arm in arms_of(record for record in records if record["dataset"] == source):
            row = {"suite": suite, "model": arm.model, "dataset": source, "arm": arm.arm, "method": arm.method}
            row |= {"shots": arm.largest("shots"), **columns_of(SOURCE, over(arm.of(source)))}
            for target in targets:
                row |= columns_of(target, over(arm.of(source, target)))
            why = [f"{r['target']}: {r['no_accuracy']}" for r in arm.records if r["no_accuracy"]]
            rows.append({**row, "notes": join_notes([*dict.fromkeys(why), *arm.notes()])})
    numbers = [f"{name}_{kind}" for name in (SOURCE, *targets) for kind in ("accuracy", "spread")]
    columns = ["suite", "model", "dataset", "arm", "method", "shots", *numbers, "notes"]
    return pd.DataFrame(rows, columns=columns).astype({"shots": "Int64"})


def further(cells: DataFrame, *, suite: str) -> dict[str, DataFrame]:
    return {"survey_shift_cells.csv": cells}


def sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> Sheet:
    """The table for people, made of the rows of the CSV file alone."""
    notes, names = numbered_notes(rows), names_in(columns)
    body = [
        [
            *(row["model"], row["dataset"], label_of(row["arm"], row["method"])),
            *(shown(row, name) for name in names),
            markers(row, notes),
        ]
        for row in rows
    ]
    heads = ["model", "fitted on", "method", *names, NOTES]
    legend = [
        *LEGEND,
        "source: its own test images; the other columns: test images of datasets never trained on.",
    ]
    what = "Shifted and other datasets"
    return Sheet(heading(suite, title, what=what), heads, blank_repeats(body, 2), legend, names=3, notes=notes)
