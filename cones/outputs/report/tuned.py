"""The course of tuning on each dataset: the epoch that was kept, steps and seconds."""

from __future__ import annotations

from cones.outputs.quantities import count, seconds, span
from cones.outputs.records import Record, grouped


def tuned_views(records: list[Record]) -> list[dict]:
    """A table per model: its tuned methods as columns, its datasets as rows; a cell without tuning is None."""
    views = []
    for model, mine in grouped(records, lambda record: record.row["model"]):
        by_place = dict(grouped(_tuned(mine), lambda record: (record.row["dataset"], record.label)))
        methods = list(dict.fromkeys(record.label for record in _tuned(mine)))
        datasets = list(dict.fromkeys(dataset for dataset, _ in by_place))
        if not methods:
            continue
        rows = [(name, [_cell(by_place.get((name, method))) for method in methods]) for name in datasets]
        views.append({"model": model, "methods": methods, "rows": rows})
    return views


def _tuned(records: list[Record]) -> list[Record]:
    return [record for record in records if record.said("tuning", "history")]


def _cell(records: list[Record] | None) -> dict | None:
    """The seeds of one dataset and method: ranges of epochs and steps, and the mean of their seconds."""
    if not records:
        return None
    best = [record.said("tuning", "best_epoch") for record in records]
    ran = [len(record.said("tuning", "history")) for record in records]
    allowed = [record.said("settings", "tuning", "max_epochs") for record in records]
    took = [record.said("tuning", "seconds") for record in records]
    return {
        "epoch": f"{span(best, count)} of {span(ran, count)}",
        "steps": span([record.said("tuning", "steps") for record in records], count),
        "seconds": seconds(sum(took) / len(took)),
        "at_end": any(epoch == end for epoch, end in zip(best, allowed)),
    }
