"""WiSE-FT: accuracy over the share of tuned weights, on a dataset's own and on shifted test images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cones.outputs.files import Row
from cones.outputs.sheet import NOTES, Sheet, blank_repeats
from cones.outputs.survey_numbers import (
    LEGEND,
    Record,
    arms_of,
    columns_of,
    label_of,
    names_in,
    over,
    records_of,
    shown,
)
from cones.outputs.wording import heading, join_notes, markers, numbered_notes

if TYPE_CHECKING:
    from pandas import DataFrame

OUTPUT = {
    "name": "survey_wise_ft",
    "reads": "classification",
    "grids": ["survey_wise_ft"],
    "setting": "few_shot",
    "one_number": True,
    "curve": True,
    "title": "WiSE-FT: between zero-shot and tuned weights",
    "about": "Does a mixture of both weights lose less on shifted images than it gains on its own?",
    "figures": ["survey_wise_ft"],
    "further": ["survey_wise_ft_cells.csv"],
    "decimals": 7,
}
WHAT = "Accuracy over the share of tuned weights"


def points_of(record: Record) -> dict[str, float]:
    """{share: accuracy} of a cell on one target; empty of a method that shows no variants."""
    pairs = (point.split() for point in (record["curve"] or "").split(", ") if point)
    return {share: float(accuracy) for share, accuracy in pairs}


def frame(cells: DataFrame, *, suite: str) -> DataFrame:
    """A row per model, dataset, arm and target, the own test images first; <share>_accuracy and <share>_spread."""
    import pandas as pd

    records = records_of(cells)
    shares = sorted({share for record in records for share in points_of(record)}, key=float)
    rows = []
    for source in dict.fromkeys(record["dataset"] for record in records):
        for arm in arms_of(record for record in records if record["dataset"] == source):
            key = {"suite": suite, "model": arm.model, "dataset": source, "arm": arm.arm, "method": arm.method}
            for target in _targets(arm.records):
                mine = [record for record in arm.records if record["target"] == target]
                row = {**key, "target": target, "taken": ", ".join(_taken(mine))}
                points = {record["seed"]: points_of(record) for record in mine}
                for share in shares:
                    seeds = {seed: known[share] for seed, known in points.items() if share in known}
                    row |= columns_of(share, over(seeds))
                why = [f"{record['target']}: {record['no_accuracy']}" for record in mine if record["no_accuracy"]]
                rows.append({**row, "notes": join_notes([*dict.fromkeys(why), *arm.notes()])})
    numbers = [f"{share}_{kind}" for share in shares for kind in ("accuracy", "spread")]
    keys = ["suite", "model", "dataset", "arm", "method", "target", "taken"]
    return pd.DataFrame(rows, columns=[*keys, *numbers, "notes"])


def _targets(records: Iterable[Record]) -> list[str | None]:
    """Targets in the order of the cells; None alone where no cell has one."""
    found = list(dict.fromkeys(record["target"] for record in records))
    return [target for target in found if target is not None] or [None]


def _taken(records: Iterable[Record]) -> list[str]:
    """The shares that count in the other tables, each once."""
    shares = (record["chosen"].removeprefix("alpha ") for record in records if record["chosen"])
    return sorted(dict.fromkeys(shares), key=float)


def further(cells: DataFrame, *, suite: str) -> dict[str, DataFrame]:
    return {"survey_wise_ft_cells.csv": cells}


def draw(cells: DataFrame, rows: list[Row], files: Mapping[str, Path], *, suite: str, title: str) -> list[Path]:
    from cones.outputs.survey_figures import save_mixtures

    return save_mixtures(rows, files["survey_wise_ft"], suite=suite, title=title, what=WHAT)


def sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> Sheet:
    """The table for people, made of the rows of the CSV file alone."""
    notes, shares = numbered_notes(rows), names_in(columns)
    body = [
        [
            *(row["model"], row["dataset"], label_of(row["arm"], row["method"]), row["target"], row["taken"]),
            *(shown(row, share) for share in shares),
            markers(row, notes),
        ]
        for row in rows
    ]
    heads = ["model", "fitted on", "method", "test images", "taken", *shares, NOTES]
    legend = [
        *LEGEND,
        "columns: the share a of tuned weights; every weight is (1 - a) of its start, zero-shot, plus a of its end.",
        "taken: the share that counts in the other tables, chosen on validation or the published 0.5, never on test.",
    ]
    what = heading(suite, title, what=WHAT)
    return Sheet(what, heads, blank_repeats(body, 3), legend, names=5, notes=notes)
