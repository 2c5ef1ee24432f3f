"""Dense prediction: a class for every pixel, by mean intersection over union."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cones.outputs.files import Row
from cones.outputs.sheet import NOTES, Sheet, blank_repeats
from cones.outputs.survey_numbers import arms_of, columns_of, label_of, over, records_of, shown
from cones.outputs.wording import NO_NUMBER, heading, join_notes, markers, numbered_notes

if TYPE_CHECKING:
    from pandas import DataFrame

OUTPUT = {
    "name": "survey_dense",
    "reads": "classification",
    "grids": ["survey_dense"],
    "setting": "dense",
    "title": "Dense prediction",
    "about": "A class for every pixel, from none or a few pictures with class maps: mean intersection over union.",
    "further": ["survey_dense_cells.csv"],
    "decimals": 7,
}
MEASURES = {"miou": "mean_iou", "pixels": "accuracy"}
COST = ("trained_values", "stored_bytes", "text_encoder", "train_images")


def frame(cells: DataFrame, *, suite: str) -> DataFrame:
    """A row per model, dataset, number of pictures and arm: miou_accuracy and pixels_accuracy in per cent, each with
    its spread over seeds."""
    import pandas as pd

    records, rows = records_of(cells), []
    for dataset, pictures in dict.fromkeys((record["dataset"], record["shots"]) for record in records):
        mine = [record for record in records if (record["dataset"], record["shots"]) == (dataset, pictures)]
        for arm in arms_of(mine):
            row = {"suite": suite, "model": arm.model, "dataset": dataset, "pictures": pictures}
            row |= {"arm": arm.arm, "method": arm.method, "classes": arm.largest("classes")}
            for name, column in MEASURES.items():
                values = {record["seed"]: record[column] for record in arm.records if record[column] is not None}
                row |= columns_of(name, over(values))
            row |= {name: arm.largest(name) for name in COST}
            row |= {"seconds_per_image": arm.mean("seconds_per_image"), "selection": arm.words("selection")}
            rows.append({**row, "notes": join_notes(_notes(arm))})
    numbers = [f"{name}_{kind}" for name in MEASURES for kind in ("accuracy", "spread")]
    columns = ["suite", "model", "dataset", "pictures", "arm", "method", "classes", *numbers]
    columns += [*COST, "seconds_per_image", "selection", "notes"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(("pictures", "classes", *COST), "Int64"))


def _notes(arm) -> list[str]:
    """Those of every table of the survey, in words of pixels: a class may have nothing to learn from, or no map."""
    untrained = dict.fromkeys(record["short_classes"] for record in arm.records if record["short_classes"])
    absent = dict.fromkeys(record["absent"] for record in arm.records if record["absent"])
    return [
        *dict.fromkeys(part for record in arm.records if record["note"] for part in record["note"].split("; ")),
        *(f"with nothing to learn from in a seed (middle squares): {names.replace(' 0', '')}" for names in untrained),
        *(f"in no test picture and never answered, so without a number: {names}" for names in absent),
        *arm.reasons(),
    ]


def further(cells: DataFrame, *, suite: str) -> dict[str, DataFrame]:
    return {"survey_dense_cells.csv": cells}


def sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> Sheet:
    """The table for people, made of the rows of the CSV file alone."""
    notes = numbered_notes(rows)
    body = [
        [
            *(row["model"], row["dataset"], row["pictures"], label_of(row["arm"], row["method"])),
            *(shown(row, name) for name in MEASURES),
            *(row["trained_values"] or NO_NUMBER, row["train_images"] or NO_NUMBER, row["selection"] or NO_NUMBER),
            markers(row, notes),
        ]
        for row in rows
    ]
    heads = ["model", "dataset", "pictures", "method", "mIoU", "pixels", "trained", "learnt from", "chosen by", NOTES]
    legend = [
        "mIoU: mean over classes of intersection over union in per cent, of the pixels of all test images together;"
        " pixels: share of labelled pixels that are right. Mean over seeds; ±: half width of the 95 % t interval.",
        "Methods without maps of their own answer each position, read with the last layer's attention, as an image.",
        f"{NO_NUMBER}: no number; the notes say why.",
    ]
    return Sheet(
        heading(suite, title, what="Dense prediction"), heads, blank_repeats(body, 3), legend, names=4, notes=notes
    )
