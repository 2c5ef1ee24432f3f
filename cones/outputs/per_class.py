"""The AP of every class of every dataset, method by method."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cones.evaluation.seeds import over_seeds, rounded, with_interval
from cones.outputs.files import Row
from cones.outputs.reference import paper
from cones.outputs.sheet import Sheet
from cones.outputs.wording import NO_NUMBER, heading, method_label

if TYPE_CHECKING:
    from pandas import DataFrame

    from cones.evaluation.metrics import CellMetrics

OUTPUT = {
    "name": "per_class",
    "reads": "classes",
    "title": "Classes: the AP of each class",
    "about": "What stands behind each AP, which is the mean over the classes of a dataset.",
}
KINDS = {"bbox": "box", "segm": "mask"}
COLUMNS = ("suite", "model", "kind", "dataset", "class", "arm", "method", "seeds", "ap", "spread", "ap50")


def frame(cells: list[CellMetrics], *, suite: str) -> DataFrame:
    """One row (COLUMNS) per model, kind of AP (box or mask), dataset, class and arm: means over seeds.

    `spread` is the half width of the 95 % t interval, from two seeds on; a class without a box in the test split has
    no AP.
    """
    import pandas as pd

    scores: dict[tuple, list[tuple[float | None, float | None]]] = {}
    for metrics in cells:
        cell = metrics.cell
        for iou_type, numbers in metrics.scores.items():
            for entry in numbers.per_class:
                place = (cell.suite, cell.model, KINDS[iou_type], cell.dataset, entry.name, cell.arm, cell.method)
                scores.setdefault(place, []).append((entry.ap, entry.ap50))
    rows = [(*place, len(pairs), *_means(pairs)) for place, pairs in scores.items()]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _means(pairs: list[tuple[float | None, float | None]]) -> tuple[float | None, float | None, float | None]:
    """AP, its spread and AP50 over seeds."""
    known = [(ap, ap50) for ap, ap50 in pairs if ap is not None and ap50 is not None]
    if not known:
        return None, None, None
    aps, ap50s = zip(*known)
    mean, spread, _ = over_seeds(aps)
    return mean, spread, over_seeds(ap50s).mean


def sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> list[Sheet]:
    """A table for each model and kind of AP, made of the rows of the CSV file alone: classes against methods."""
    parts = dict.fromkeys((row["model"], row["kind"]) for row in rows)
    return [
        _sheet([row for row in rows if (row["model"], row["kind"]) == part], *part, suite, title) for part in parts
    ] or [Sheet(heading(suite, title, what="AP of each class"), ["dataset", "class"], [], [])]


def _sheet(rows: list[Row], model: str, kind: str, suite: str, title: str | None) -> Sheet:
    labels = {name: label for table in ("table2", "table8", "table10") for name, label in paper().labels(table).items()}
    arms = {row["arm"]: method_label(row) if row["arm"] == row["method"] else row["arm"] for row in rows}
    aps = {(row["dataset"], row["class"], row["arm"]): _number(row) for row in rows}
    classes = dict.fromkeys((row["dataset"], row["class"]) for row in rows)
    body = [
        [labels.get(dataset, dataset), name, *(aps.get((dataset, name, arm), NO_NUMBER) for arm in arms)]
        for dataset, name in classes
    ]
    seeds = max(int(row["seeds"]) for row in rows)
    legend = [f"{kind} AP of the class at IoU .50:.95 in percent, on the test split; mean over {_seeds(seeds)}."]
    legend += ["±: half width of the 95 % t interval over seeds."] * any(row["spread"] for row in rows)
    if any(NO_NUMBER in line for line in body):
        legend.append(f"{NO_NUMBER}: the test split has no box of the class, or the cell has no numbers.")
    what = f"{kind.capitalize()} AP of each class, {model}"
    heads = ["dataset", "class", *arms.values()]
    return Sheet(heading(suite, title, what=what), heads, body, legend, names=2, in_section=1)


def _number(row: Row) -> str:
    if not row["ap"]:
        return NO_NUMBER
    return with_interval(float(row["ap"]), float(row["spread"])) if row["spread"] else rounded(float(row["ap"]))


def _seeds(count: int) -> str:
    return f"{count} seed{'' if count == 1 else 's'}"
