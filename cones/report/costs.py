"""What each method costs: parameters, seconds and memory."""

from __future__ import annotations

from statistics import fmean

from cones.report.quantities import count, memory, seconds, span
from cones.report.records import Record, grouped
from cones.tables.wording import NO_NUMBER


def cost_views(records: list[Record]) -> list[dict]:
    """Per model: a row for each method that has a finished cell; ranges are over datasets and seeds."""
    done = [record for record in records if record.is_done]
    return [
        {"model": model, "rows": [{"label": label, **_row(cells)} for label, cells in grouped(mine, _label)]}
        for model, mine in grouped(done, lambda record: record.row["model"])
    ]


def _label(record: Record) -> str:
    return record.label


def _row(records: list[Record]) -> dict:
    def counted(column: str) -> str:
        return span([int(record.row[column]) for record in records if record.row[column]], count)

    def said(*path: str) -> list[float]:
        return [value for record in records if (value := record.said(*path)) is not None]

    tuning = [record for record in records if record.said("tuning", "history")]
    took = [record.said("tuning", "seconds") for record in tuning]
    return {
        "trained": counted("trained_used"),
        "all": counted("total_used"),
        "text_encoder": counted("text_encoder_used"),
        "tuning_mean": seconds(fmean(took)) if took else NO_NUMBER,
        "tuning_sum": seconds(sum(took)) if took else NO_NUMBER,
        "tuning_memory": _most([record.said("tuning", "peak_memory_bytes") for record in tuning]),
        "inference": _mean_seconds(said("inference", "seconds_per_image")),
        "inference_memory": _most(said("inference", "peak_memory_bytes")),
    }


def _most(values: list[int]) -> str:
    return memory(max(values)) if values else NO_NUMBER


def _mean_seconds(values: list[float]) -> str:
    return f"{1000 * fmean(values):,.1f} ms" if values else NO_NUMBER
