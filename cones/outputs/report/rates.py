"""The learning rates that the cells were tuned with, and the study by which they were chosen, if there is one."""

from __future__ import annotations

from pathlib import Path
from statistics import fmean

from cones.methods.method import METHODS
from cones.outputs.files import Row, read_csv
from cones.outputs.quantities import count, rate, span
from cones.outputs.records import Record, grouped
from cones.outputs.wording import NO_NUMBER, number
from cones.runtime.errors import ConesError

STUDY_COLUMNS = ("model", "method", "learning_rate", "dataset", "validation_ap", "chosen")
YES = ("1", "yes", "true", "x")


def rates_used(records: list[Record]) -> dict:
    """The `models`, and per method the learning rates that each of them was tuned with."""
    tuned = [record for record in records if record.said("tuning", "history")]
    models = list(dict.fromkeys(record.row["model"] for record in tuned))
    rows = []
    for label, mine in grouped(tuned, lambda record: record.label):
        by_model = dict(grouped(mine, lambda record: record.row["model"]))
        rows.append({"label": label, "rates": [_setting(by_model.get(model), "learning_rate") for model in models]})
    return {"models": models, "rows": rows}


def _datasets(sizes: set[int]) -> str:
    return f"{span(sorted(sizes), count)} dataset{'' if sizes == {1} else 's'}"


def _setting(records: list[Record] | None, key: str) -> str:
    return span([value for record in records or () if (value := record.said("settings", key)) is not None], rate)


def read_study(path: str | Path) -> list[Row]:
    """The rows of a learning-rate study; ConesError unless it has STUDY_COLUMNS and numbers where they belong."""
    columns, rows = read_csv(path)
    if missing := [name for name in STUDY_COLUMNS if name not in columns]:
        raise ConesError(
            "a column is missing",
            where=path,
            expected=", ".join(STUDY_COLUMNS),
            found=f"no {', '.join(missing)}",
            next_step="write the study again: python -m cones learning-rates",
        )
    for line, row in enumerate(rows, start=2):
        try:
            float(row["learning_rate"]), float(row["validation_ap"] or 0)
        except (TypeError, ValueError):
            raise ConesError(
                "not a number",
                where=f"{path}: line {line}",
                expected="numbers as learning_rate and validation_ap",
                found=f'"{row["learning_rate"]}" and "{row["validation_ap"]}"',
                next_step="correct the line",
            ) from None
    return rows


def study_views(rows: list[Row]) -> list[dict]:
    """A table per model, learning rates by methods, or by methods and starts; a cell is the mean validation AP over the
    datasets."""
    views = []
    for model in dict.fromkeys(row["model"] for row in rows):
        mine = [row for row in rows if row["model"] == model]
        rates = sorted({float(row["learning_rate"]) for row in mine})
        sizes = set()
        lines = []
        for method, start in dict.fromkeys((row["method"], row.get("start")) for row in mine):
            cells, started = [], [row for row in mine if (row["method"], row.get("start")) == (method, start)]
            for learning_rate in rates:
                rate_rows = [row for row in started if float(row["learning_rate"]) == learning_rate]
                aps = [float(row["validation_ap"]) for row in rate_rows if row["validation_ap"]]
                sizes |= {len({row["dataset"] for row in rate_rows if row["validation_ap"]})} if aps else set()
                chosen = any(row["chosen"].strip().lower() in YES for row in rate_rows)
                cells.append({"text": number(str(fmean(aps))) if aps else NO_NUMBER, "chosen": chosen})
            label = METHODS[method].label if method in METHODS else method
            lines.append({"label": f"{label}, start {start}" if start else label, "cells": cells})
        heads = [rate(value) for value in rates]
        views.append({"model": model, "rates": heads, "rows": lines, "datasets": _datasets(sizes)})
    return views
