"""The cost of each method, from the records of its cells: parameters, seconds, memory and steps."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from cones.methods.method import METHODS
from cones.outputs.files import Row
from cones.outputs.quantities import count, memory, of_text, seconds, span
from cones.outputs.records import Record, grouped
from cones.outputs.sheet import Sheet, blank_repeats
from cones.outputs.wording import NO_NUMBER, heading

if TYPE_CHECKING:
    from pandas import DataFrame

OUTPUT = {
    "name": "efficiency",
    "reads": "records",
    "title": "Costs",
    "about": "What each method needs: parameters, seconds, memory, steps.",
}
COUNTS = ("trained", "total", "resident")
COLUMNS = (
    *("suite", "model", "method", "cells", "device"),
    *(f"{name}_{end}" for name in COUNTS for end in ("low", "high")),
    *("tuning_seconds", "tuning_seconds_sum", "steps", "seconds_per_step", "steps_to_best", "seconds_to_best"),
    *("tuning_peak_memory_bytes", "inference_seconds_per_image", "language_seconds", "inference_peak_memory_bytes"),
)
WHOLE_NUMBERS = (
    *(f"{name}_{end}" for name in COUNTS for end in ("low", "high")),
    *("cells", "tuning_peak_memory_bytes", "inference_peak_memory_bytes"),
)


def efficiency_rows(records: list[Record]) -> list[dict]:
    """One row (COLUMNS) per model and arm that has a finished cell; None where nothing was tuned or recorded.

    Parameters as they are used, lowest and highest over datasets: `trained`, `total` (the whole system, text
    encoder included) and `resident`, those in memory while tuning: a frozen encoder whose output is read from a file
    is not. Seconds and steps are means over cells: of optimiser steps alone, without validation; `…_to_best` up to
    the epoch that was kept. Peak memory is the highest of any cell.
    """
    done = [record for record in records if record.is_done]
    places = grouped(done, lambda record: (record.row["suite"], record.row["model"], record.label))
    return [{**dict(zip(("suite", "model", "method"), place)), **costs_of(cells)} for place, cells in places]


def costs_of(records: list[Record]) -> dict:
    """What the finished cells of one row cost: see `efficiency_rows`."""
    tuned = [record for record in records if record.said("tuning", "steps")]
    devices = dict.fromkeys(record.said("device") or "not recorded" for record in records)
    row: dict = {"cells": len(records), "device": ", ".join(devices)}
    for name, counted in zip(COUNTS, ("trained_used", "total_used", None)):
        values = [int(record.row[counted]) if counted else _resident(record) for record in records]
        row |= {f"{name}_low": min(values), f"{name}_high": max(values)}
    took = [record.said("tuning", "seconds") for record in tuned]
    steps = [record.said("tuning", "steps") for record in tuned]
    best = [_steps_to_best(record) for record in tuned]
    return row | {
        "tuning_seconds": _mean(took),
        "tuning_seconds_sum": sum(took) if took else None,
        "steps": _mean(steps),
        "seconds_per_step": _mean([s / n for s, n in zip(took, steps)]),
        "steps_to_best": _mean(best),
        "seconds_to_best": _mean([s / n * to for s, n, to in zip(took, steps, best)]),
        "tuning_peak_memory_bytes": _most([record.said("tuning", "peak_memory_bytes") for record in tuned]),
        "inference_seconds_per_image": _mean(_recorded(records, "inference", "seconds_per_image")),
        "language_seconds": _mean(_recorded(records, "tuning", "language_seconds")),
        "inference_peak_memory_bytes": _most(_recorded(records, "inference", "peak_memory_bytes")),
    }


def _resident(record: Record) -> int:
    entry = METHODS.get(record.row["method"])
    has_text_encoder = entry is None or "text_encoder" in entry.inputs
    return int(record.row["total_used"]) - (0 if has_text_encoder else int(record.row["text_encoder_used"]))


def _steps_to_best(record: Record) -> int:
    best, history = record.said("tuning", "best_epoch"), record.said("tuning", "history") or []
    return next((epoch["steps"] for epoch in history if epoch["epoch"] == best), 0)


def _recorded(records: list[Record], *path: str) -> list[float]:
    return [value for record in records if (value := record.said(*path)) is not None]


def _mean(values: Sequence[float]) -> float | None:
    return fmean(values) if values else None


def _most(values: Sequence[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def frame(records: list[Record], *, suite: str) -> DataFrame:
    """The `efficiency_rows` as a data frame."""
    import pandas as pd

    rows = pd.DataFrame(efficiency_rows(records), columns=list(COLUMNS))
    return rows.astype(dict.fromkeys(WHOLE_NUMBERS, "Int64"))


def sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> Sheet:
    """The table for people, made of the rows of the CSV file alone."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    body = [
        [
            row["model"],
            row["method"],
            *(span([float(row[f"{name}_{end}"]) for end in ("low", "high")], count) for name in COUNTS),
            of_text(seconds, row["seconds_per_step"]),
            f"{of_text(count, row['steps_to_best'])} of {of_text(count, row['steps'])}" if row["steps"] else NO_NUMBER,
            of_text(seconds, row["tuning_seconds"]),
            of_text(seconds, row["tuning_seconds_sum"]),
            of_text(memory, row["tuning_peak_memory_bytes"]),
            of_text(seconds, row["inference_seconds_per_image"]),
            of_text(seconds, row["language_seconds"]),
            of_text(memory, row["inference_peak_memory_bytes"]),
        ]
        for row in sorted(rows, key=lambda row: models.index(row["model"]))
    ]
    heads = ["model", "method", "parameters trained", "all", "resident while tuning", "per step", "steps to best"]
    heads += ["tuning, mean per cell", "tuning, all cells", "peak memory, tuning", "inference per image", "text, once"]
    return Sheet(
        heading(suite, title, what="What it cost"),
        [*heads, "peak memory, inference"],
        blank_repeats(body, 1),
        LEGEND,
        names=2,
        empty="No cell is done yet.",
    )


LEGEND = [
    "Parameters as they are used; Table 1 counts as the paper does, with a full table of 256 vectors. Ranges are over"
    " datasets.",
    "resident while tuning: a frozen text encoder runs once per dataset and its output is read from a file, so that it"
    " is in memory only where gradients pass through it or it trains.",
    "Seconds: of optimiser steps, without validation; means over cells, beside whatever else ran on the machine.",
    "Where cells share image features (`shared_views` in run.json), these were computed before, once"
    " for all methods with a frozen image encoder: the seconds of these methods are without them.",
    "Inference: its language features are made once and kept, whatever the method; text, once: seconds of making them,"
    " which a text encoder that runs for each image adds to each. Without a number: stored class names, whose encoder"
    " ran in a step of its own (as long as that of textual inversion), or a text that is part of inference.",
    "steps to best: up to the epoch that was kept, of those that ran.",
    "Peak memory: of the device's allocator on a GPU, of the whole process on a CPU; the highest of any cell.",
]
