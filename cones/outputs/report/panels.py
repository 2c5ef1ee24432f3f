"""The panels of the figure: per model and group of datasets, the APs of every method."""

from __future__ import annotations

from dataclasses import dataclass

from cones.outputs.files import Row
from cones.outputs.reference import GROUPS
from cones.outputs.table1 import groups_in


@dataclass(frozen=True)
class Method:
    """One line of a panel: the Table 1 row of a method, and {dataset: one AP per seed} of its group."""

    row: Row
    aps: dict[str, list[float]]


@dataclass(frozen=True)
class Panel:
    """A model on a group of datasets; `datasets` fixes each dataset's height within the line of every method."""

    model: str
    group: str
    datasets: list[str]
    seeds: int
    methods: list[Method]

    @property
    def size(self) -> str:
        """The numbers of datasets and seeds behind each line, such as `13 datasets, 3 seeds`."""
        datasets = f"{len(self.datasets)} dataset{'s' if len(self.datasets) != 1 else ''}"
        return f"{datasets}, {self.seeds} seed{'s' if self.seeds != 1 else ''}"

    def published(self, method: Method) -> float | None:
        """The paper's mean over the group, where the suite has exactly the paper's datasets."""
        value = method.row[f"{self.group}_paper"]
        return float(value) if value and set(self.datasets) == set(GROUPS[self.group].datasets) else None


def panels(cells: list[Row], rows: list[Row]) -> list[Panel]:
    """A panel for each model and group with any AP; `cells` and `rows` are Table 1's cells and its own."""
    with_scores = []
    for model in dict.fromkeys(row["model"] for row in rows):
        for group in groups_in(rows):
            mine = [c for c in cells if (c["model"], c["group"]) == (model, group) and c["arm"] == c["method"]]
            if not any(cell["ap"] for cell in mine):
                continue
            names = dict.fromkeys([*GROUPS[group].datasets, *(cell["dataset"] for cell in mine)])
            datasets = [name for name in names if any(cell["dataset"] == name for cell in mine)]
            methods = [Method(row, _aps(mine, row["method"])) for row in rows if row["model"] == model]
            seeds = len({cell["seed"] for cell in mine if cell["ap"]})
            with_scores.append(Panel(model, group, datasets, seeds, methods))
    return with_scores


def _aps(cells: list[Row], method: str) -> dict[str, list[float]]:
    aps: dict[str, list[float]] = {}
    for cell in cells:
        if cell["method"] == method and cell["ap"]:
            aps.setdefault(cell["dataset"], []).append(float(cell["ap"]))
    return aps


def highest(shown: list[Panel]) -> float:
    """The end of the common AP axis: panels of one suite can be compared with each other."""
    values = [ap for panel in shown for method in panel.methods for aps in method.aps.values() for ap in aps]
    return max([*values, 1e-3]) * 1.04


def what_marks_mean(shown: list[Panel]) -> str:
    """A sentence about dots, bars and diamonds, as far as they occur."""
    seeds = max(panel.seeds for panel in shown)
    dot = "A dot is a dataset" if seeds == 1 else f"A dot is a dataset (mean over {seeds} seeds, line: their range)"
    interval = "" if seeds == 1 else ", with its 95 % t interval over seeds"
    published = any(panel.published(method) for panel in shown for method in panel.methods)
    diamond = "; a diamond is the mean in the paper" if published else ""
    return f"{dot}; the upright bar and the number are the mean over datasets{interval}{diamond}."
