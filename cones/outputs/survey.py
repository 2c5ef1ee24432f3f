"""The survey: every method on few labelled images, with what it trains, stores and costs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cones.outputs.files import Row
from cones.outputs.quantities import count, of_text, seconds
from cones.outputs.sheet import NOTES, Sheet, blank_repeats
from cones.outputs.survey_numbers import (
    ALL,
    LEGEND,
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
    "name": "survey",
    "reads": "classification",
    "grids": ["survey"],
    "setting": "few_shot",
    "title": "Survey of methods for models with two encoders",
    "about": "The same few labelled images for every method: how many answers are right, and at what cost?",
    "figures": ["survey_pareto"],
    "further": ["survey_cells.csv"],
    "decimals": 7,
}
COST = ("trained_values", "stored_bytes", "text_encoder", "seconds_per_step", "fit_seconds", "seconds_per_image")
WHOLE = ("trained_values", "stored_bytes", "text_encoder", "shots")


def frame(cells: DataFrame, *, suite: str) -> DataFrame:
    """A row per model, number of shots and arm.

    all_accuracy is the mean over datasets, `datasets` says over how many ("6/6"), <dataset>_accuracy that of each. Of
    cost the largest count and the mean seconds over cells; `seconds_per_image` is the classifier's alone where image
    features are stored, and everything's where the image encoder takes part.
    """
    import pandas as pd

    records = records_of(cells)
    datasets = datasets_of(records)
    rows = []
    for shots in dict.fromkeys(record["shots"] for record in records):
        for arm in arms_of(record for record in records if record["shots"] == shots):
            by_dataset = {dataset: arm.of(dataset) for dataset in datasets}
            done = sum(bool(values) for values in by_dataset.values())
            row = {"suite": suite, "model": arm.model, "shots": shots, "arm": arm.arm, "method": arm.method}
            row |= {**columns_of(ALL, mean_over(by_dataset)), "datasets": f"{done}/{len(datasets)}"}
            row["seeds"] = max(map(len, by_dataset.values()), default=0)
            for dataset, values in by_dataset.items():
                row |= columns_of(dataset, over(values))
            row |= {name: arm.largest(name) for name in COST[:3]} | {name: arm.mean(name) for name in COST[3:]}
            row |= {name: arm.words(name) for name in ("labels", "selection", "device")}
            partly = [f"over {done} of {len(datasets)} datasets: do not compare its mean"] * (0 < done < len(datasets))
            rows.append({**row, "notes": join_notes([*partly, *arm.notes()])})
    keys = ["suite", "model", "shots", "arm", "method", "datasets", "seeds"]
    numbers = [f"{name}_{kind}" for name in (ALL, *datasets) for kind in ("accuracy", "spread")]
    columns = [*keys, *numbers, *COST, "labels", "selection", "device", "notes"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(WHOLE, "Int64"))


def further(cells: DataFrame, *, suite: str) -> dict[str, DataFrame]:
    return {"survey_cells.csv": cells}


def draw(cells: DataFrame, rows: list[Row], files: Mapping[str, Path], *, suite: str, title: str) -> list[Path]:
    """Accuracy against trained values and against seconds."""
    from cones.outputs.survey_figures import save_pareto

    return save_pareto(rows, files["survey_pareto"], suite=suite, title=title)


def sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> Sheet:
    """The table for people, made of the rows of the CSV file alone."""
    notes, names = numbered_notes(rows), names_in(columns)
    body = [
        [
            *(row["model"], f"{row['shots']} shot{'s' * (row['shots'] != '1')}", label_of(row["arm"], row["method"])),
            *(f"{shown(row, name)}{_partly(row) if name == ALL else ''}" for name in names),
            *(of_text(count, row["trained_values"]), of_text(count, row["stored_bytes"])),
            _text_encoder(row["text_encoder"]),
            *(of_text(seconds, row[name]) for name in ("seconds_per_step", "fit_seconds", "seconds_per_image")),
            *(row["labels"], row["selection"], markers(row, notes)),
        ]
        for row in rows
    ]
    heads = ["model", "setting", "method", *("mean" if name == ALL else name for name in names)]
    heads += ["trained values", "stored bytes", "text encoder", "per step", "fit", "per image", "labels", "chosen by"]
    legend = [
        *LEGEND,
        "mean: over the datasets; (n/N) marks a mean over n of the N datasets only, which compares with no other.",
        "trained values, stored bytes: what training changed, and what is kept beside the base model. text encoder:"
        " parameters of it that scoring needs; 0 where class vectors, made once, are enough.",
        "per step, fit: seconds of an optimiser step, and of all that fitting took; per image: of scoring one test"
        " image, without the frozen image encoder, whose features are computed once for all methods.",
        "labels: whether the few training labels are used. chosen by: the labels by which numbers of the method were"
        " chosen (none: published values); nothing is chosen on test images.",
    ]
    ours = frozenset(place for place, row in enumerate(rows) if row["method"].startswith("cones"))
    what = "Survey of methods"
    body = blank_repeats(body, 2)
    return Sheet(heading(suite, title, what=what), [*heads, NOTES], body, legend, names=3, notes=notes, ours=ours)


def _partly(row: Row) -> str:
    done, _, asked = row["datasets"].partition("/")
    return "" if done == asked or not row[f"{ALL}_accuracy"] else f" ({row['datasets']})"


def _text_encoder(values: str) -> str:
    return "no" if values == "0" else of_text(count, values)
