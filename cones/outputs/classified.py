"""The list of a survey grid's cells, `<grid>_cells.csv`: a row for each cell and target, with numbers or a reason."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cones.evaluation.classification_metrics import ClassificationMetrics
from cones.experiment.cell import Cell
from cones.experiment.classification import Setting
from cones.outputs.files import read_csv
from cones.runtime.errors import ConesError

if TYPE_CHECKING:
    from pandas import DataFrame

DECIMALS = 7  # seconds of a step may be microseconds
KEYS = ("suite", "model", "dataset", "setting", "shots", "arm", "method", "seed")
WHOLE = (
    *("shots", "seed", "images", "classes", "trained_values", "stored_bytes", "text_encoder"),
    *("train_images", "val_images", "steps", "peak_memory_bytes", "tree_nodes"),
)
TREE = ("tree_consistent", "tree_cuts")
SCORES = ("accuracy", "mean_ap", "mean_iou", *TREE)
COST = ("seconds_per_step", "fit_seconds", "seconds_per_image")
COLUMNS = (
    *KEYS,
    *("status", "reason", "target", *SCORES[:3], "no_accuracy", "images", "classes", "absent", "curve"),
    "average_precision",  # of each class, where a picture may show several
    *("tree_nodes", "tree_consistent", "tree_cuts", "no_tree"),
    *("trained_values", "stored_bytes", "text_encoder", "train_images", "val_images", "short_classes"),
    *("labels", "selection", "chosen", "note", "steps", *COST, "peak_memory_bytes", "device"),
    "answers",  # digest of those for the target: cells whose answers for it are the same have the same
)


@dataclass(frozen=True)
class ClassifiedCell:
    """A cell of a grid with its metrics, None where it has no result, and what `run.json` says of its cost."""

    cell: Cell
    method: str
    metrics: ClassificationMetrics | None
    run: Mapping
    failure: str | None = None  # why it has none, if a step failed or its files are not believed


def cells_table(cells: Sequence[ClassifiedCell]) -> DataFrame:
    """A row per cell and target (COLUMNS), or one with the reason why there are no numbers."""
    import pandas as pd

    rows = [row for one in cells for row in _rows(one)]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(dict.fromkeys(WHOLE, "Int64"))


def read_cells_table(path: str | Path) -> DataFrame:
    """The rows of a list as `cells_table` made them; ConesError unless it has their columns."""
    import pandas as pd

    columns, rows = read_csv(path)
    if tuple(columns) != COLUMNS:
        raise ConesError("not a list of cells of this version", where=path, next_step="delete it and run again")
    kinds = {**dict.fromkeys(WHOLE, int), **dict.fromkeys((*SCORES, *COST), float)}
    try:
        read = [{name: kinds.get(name, str)(text) if text else None for name, text in row.items()} for row in rows]
    except ValueError as error:
        raise ConesError("not a number", where=path, found=error, next_step="delete it and run again") from None
    table = pd.DataFrame(read, columns=list(COLUMNS))
    return table.astype({**dict.fromkeys(WHOLE, "Int64"), **dict.fromkeys((*SCORES, *COST), "float64")})


def _rows(one: ClassifiedCell) -> list[dict]:
    cell, setting = one.cell, Setting.of(one.cell.dataset)
    key = {"suite": cell.suite, "model": cell.model, "dataset": setting.dataset, "setting": setting.kind}
    key |= {"shots": setting.shots, "arm": cell.arm, "method": one.method, "seed": cell.seed}
    if one.metrics is None:
        return [{**key, "status": "failed" if one.failure else "not run", "reason": one.failure or "not run"}]
    if one.metrics.status == "skipped":
        return [{**key, "status": "skipped", "reason": " ".join(one.metrics.reason.split())}]
    trained = one.metrics.trained
    known = {
        "trained_values": trained.values,
        **{name: getattr(trained, name) for name in ("stored_bytes", "text_encoder", "train_images", "val_images")},
        **{name: getattr(trained, name) for name in ("labels", "selection", "note")},
        "short_classes": _listed(trained.short_classes),
        "chosen": _listed(trained.chosen),
        **_cost(one.run),
    }
    rows = []
    for target, score in one.metrics.targets.items():
        what = {"target": target, "accuracy": score.accuracy, "no_accuracy": score.reason, "images": score.images}
        if score.mean_ap is not None:
            what |= {"mean_ap": score.mean_ap, "average_precision": json.dumps(score.per_class, ensure_ascii=False)}
        what |= {"classes": score.classes, "absent": ", ".join(score.absent) or None}
        if (tree := score.hierarchy) is not None:
            what |= {"tree_nodes": tree.nodes, "tree_consistent": tree.consistent, "tree_cuts": tree.cuts}
            what |= {"no_tree": tree.reason}
        what["mean_iou"] = score.dense.mean_iou if score.dense else None
        what["curve"] = ", ".join(f"{point.at:g} {point.accuracy:.4f}" for point in score.curve) or None
        what["answers"] = one.run.get("answers", {}).get(target)
        rows.append({**key, "status": "done", **what, **known})
    return rows


def _listed(numbers: Mapping[str, float]) -> str | None:
    return ", ".join(f"{name} {value:g}" for name, value in numbers.items()) or None


def _cost(run: Mapping) -> dict:
    tuning, inference = run["tuning"], run["inference"]
    timed = sum(one["timed_steps"] for one in tuning["runs"])
    memory = [one["peak_memory_bytes"] for one in (*tuning["runs"], inference) if one["peak_memory_bytes"] is not None]
    return {
        "steps": tuning["steps"],
        "seconds_per_step": _short(sum(one["seconds"] for one in tuning["runs"]) / timed if timed else None),
        "fit_seconds": _short(tuning["fit_seconds"]),
        "seconds_per_image": _short(inference["seconds_per_image"]),
        "peak_memory_bytes": max(memory, default=None),
        "device": run["machine"]["accelerator"] or run["device"],
    }


def _short(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, DECIMALS)
