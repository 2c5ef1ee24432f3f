"""Several classes a picture: mAP over the share of training labels that is known (DualCoOp's protocol)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cones.outputs.files import Row
from cones.outputs.sheet import NOTES, Sheet, blank_repeats
from cones.outputs.survey_numbers import Arm, arms_of, columns_of, label_of, over, records_of, shown
from cones.outputs.wording import NO_NUMBER, heading, join_notes, markers, numbered_notes

if TYPE_CHECKING:
    from pandas import DataFrame

OUTPUT = {
    "name": "survey_multi_label",
    "reads": "classification",
    "grids": ["survey_multi_label"],
    "setting": "multi_label",
    "title": "Several classes a picture",
    "about": "Every picture has a score for each class: are those that show it ranked first?",
    "further": ["survey_multi_label_cells.csv", "survey_multi_label_classes.csv"],
    "decimals": 7,
}
MEASURE = "map"
KEYS = ("suite", "model", "dataset", "labels_known", "arm", "method")


def frame(cells: DataFrame, *, suite: str) -> DataFrame:
    """A row per model, dataset, share of known labels and arm: mAP with its spread over seeds."""
    import pandas as pd

    rows = []
    for place, arm in _arms(cells, suite):
        row = dict(zip(KEYS, place)) | columns_of(MEASURE, over(_values(arm)))
        row |= {"trained_values": arm.largest("trained_values"), "fit_seconds": arm.mean("fit_seconds")}
        row |= {"labels": arm.words("labels"), "selection": arm.words("selection")}
        why = dict.fromkeys(record["no_accuracy"] for record in arm.records if record["no_accuracy"])
        rows.append({**row, "notes": join_notes([*why, *_notes(arm)])})
    columns = [*KEYS, f"{MEASURE}_accuracy", f"{MEASURE}_spread", "trained_values", "fit_seconds"]
    columns += ["labels", "selection", "notes"]
    return pd.DataFrame(rows, columns=columns).astype({"labels_known": "Int64", "trained_values": "Int64"})


def further(cells: DataFrame, *, suite: str) -> dict[str, DataFrame]:
    return {"survey_multi_label_cells.csv": cells, "survey_multi_label_classes.csv": _classes(cells, suite)}


def _classes(cells: DataFrame, suite: str) -> DataFrame:
    """A row per class of each row of the table: its average precision; a class without a positive has none."""
    import pandas as pd

    rows = []
    for place, arm in _arms(cells, suite):
        found: dict[str, dict[int, float]] = {}
        for record in arm.records:
            for name, value in json.loads(record["average_precision"] or "{}").items():
                found.setdefault(name, {})[record["seed"]] = value
        for name, values in found.items():
            rows.append({**dict(zip(KEYS, place)), "class": name, **columns_of("ap", over(values))})
    return pd.DataFrame(rows, columns=[*KEYS, "class", "ap_accuracy", "ap_spread"]).astype({"labels_known": "Int64"})


def _arms(cells: DataFrame, suite: str) -> list[tuple[tuple, Arm]]:
    """The rows of the table with their keys, dataset by dataset, then by share of labels."""
    records = records_of(cells)
    parts = dict.fromkeys((record["dataset"], record["shots"]) for record in records)
    return [
        ((suite, arm.model, dataset, share, arm.arm, arm.method), arm)
        for dataset, share in parts
        for arm in arms_of(record for record in records if (record["dataset"], record["shots"]) == (dataset, share))
    ]


def _values(arm: Arm) -> dict[int, float]:
    return {record["seed"]: record["mean_ap"] for record in arm.records if record["mean_ap"] is not None}


def _notes(arm: Arm) -> list[str]:
    """What is to be known of a row; notes that name classes differ from seed to seed."""
    notes: dict[str, list[int]] = {}
    for record in arm.records:
        for note in filter(None, (record["note"] or "").split("; ")):
            notes.setdefault(note, []).append(record["seed"])
    every = {record["seed"] for record in arm.records}
    told = [
        note if set(seeds) == every else f"seed {', '.join(map(str, seeds))}: {note}" for note, seeds in notes.items()
    ]
    absent = {record["target"]: record["absent"] for record in arm.records if record["absent"]}
    return [*told, *(f"{target}: no test image of {classes}" for target, classes in absent.items()), *arm.reasons()]


def sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> Sheet:
    """The table for people, made of the rows of the CSV file alone."""
    notes = numbered_notes(rows)
    body = [
        [
            *(row["model"], row["dataset"], f"{row['labels_known']} %", label_of(row["arm"], row["method"])),
            *(shown(row, MEASURE), row["trained_values"] or NO_NUMBER, row["labels"], row["selection"]),
            markers(row, notes),
        ]
        for row in rows
    ]
    legend = [
        "mAP: mean over classes of the average precision (no interpolation) in per cent on test images, mean over"
        " seeds; ±: half width of the 95 % t interval over seeds. A class that no test image shows has none.",
        "known: per cent of the training labels that are known, drawn by seed: each label of each image by itself.",
        f"{NO_NUMBER}: no number; the notes say why.",
        "labels: whether training labels are used. chosen by: the labels by which numbers of the method were chosen.",
    ]
    heads = ["model", "dataset", "known", "method", "mAP", "trained values", "labels", "chosen by", NOTES]
    what = "Several classes a picture"
    ours = frozenset(place for place, row in enumerate(rows) if row["method"].startswith("cones"))
    body = blank_repeats(body, 3)
    return Sheet(heading(suite, title, what=what), heads, body, legend, names=4, notes=notes, ours=ours)
