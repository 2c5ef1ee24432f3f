"""The results that are missing from a suite, with reasons."""

from __future__ import annotations

from cones.outputs.records import Record, grouped
from cones.outputs.reference import GROUPS, paper


def gap_rows(records: list[Record]) -> list[dict]:
    """One row per reason and set of methods: its datasets, methods, seeds and status.

    All methods, and all seeds (which are not named), are those that the model is asked for on that dataset.
    """
    asked = dict(grouped(records, lambda record: (record.row["model"], record.row["dataset"])))
    rows: dict[tuple, list[str]] = {}
    holes = [record for record in records if not record.is_done]
    for (model, dataset, status, reason), mine in grouped(holes, _place):
        everything, names = asked[model, dataset], _methods(mine)
        methods = "all methods" if names == _methods(everything) else ", ".join(names)
        seeds = {record.row["seed"] for record in mine}
        is_whole = len(mine) == sum(record.label in names for record in everything)
        which = "" if is_whole else f"seed {', '.join(sorted(seeds, key=int))}"
        rows.setdefault((model, status, reason, methods, which), []).append(dataset)
    return [
        {"model": model, "datasets": names, "methods": methods, "seeds": which, "status": status, "reason": reason}
        for (model, status, reason, methods, which), names in rows.items()
    ]


def _place(record: Record) -> tuple[str, str, str, str]:
    row = record.row
    reason = "" if row["reason"] == row["status"] else row["reason"]
    return row["model"], row["dataset"], row["status"], reason


def _methods(records: list[Record]) -> list[str]:
    return list(dict.fromkeys(record.label for record in records))


def not_in_suite(records: list[Record]) -> dict:
    """The `datasets`, `models` and `methods` of the paper's Table 1 that the suite does not have."""
    mine = {key: {record.row[key] for record in records} for key in ("dataset", "model", "method")}
    theirs = [name for group in GROUPS.values() for name in group.datasets]
    return {
        "datasets": [name for name in theirs if name not in mine["dataset"]],
        "of": len(theirs),
        "models": [name for name in paper().order("model") if name not in mine["model"]],
        "methods": [name for name in paper().order("method") if name not in mine["method"]],
    }
