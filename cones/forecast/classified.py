"""Seconds and bytes of a classification cell: means of finished cells of its method, else of a shipped table."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from cones.experiment.cell import Cell, Plan
from cones.experiment.classification import Setting, task_of
from cones.forecast.rates import Rate
from cones.forecast.work import Share, Work
from cones.runtime.artifacts import read_json
from cones.runtime.errors import ConesError

JOB_SECONDS = 1.0  # of starting a warm process and reading the stored features of a nano model
REFERENCE = Path(__file__).with_name("classified.json")  # made by benchmarks/classification_costs.py


class Cost(NamedTuple):
    """Of a cell: steps of its optimiser, seconds of its fit and of scoring, bytes of its state."""

    steps: float
    seconds: float
    bytes: float


class ClassifiedCells:
    """What finished cells of these models recorded, in any suite; one written by another version is passed over."""

    def __init__(self, results: Path, models: Iterable[str]):
        self._found: dict[tuple[str, str, str], list[tuple[Cost, str]]] = defaultdict(list)
        for model in sorted(models):
            for path in sorted(results.glob(f"*/{model}/*/*/seed*/run.json")):
                try:
                    run, metrics = read_json(path), read_json(path.with_name("metrics.json"))
                    device = run["machine"]["accelerator"] or run["device"]
                    tuning, scoring = run["tuning"], run["inference"]["seconds"]
                    cost = Cost(tuning["steps"], tuning["fit_seconds"] + scoring, metrics["trained"]["stored_bytes"])
                    if "joint" in tuning:  # its one training is that of the joint cell
                        cost = Cost(0, scoring, 0)
                    key = model, task_of(metrics["setting"]), metrics["cell"]["method"]
                    self._found[key].append((cost, device))
                except (ConesError, KeyError, TypeError):
                    continue

    def means(self) -> dict[str, dict[str, dict[str, Cost]]]:
        """{model: {task: {method: the mean over its finished cells}}}."""
        table: dict[str, dict[str, dict[str, Cost]]] = defaultdict(lambda: defaultdict(dict))
        for (model, task, method), found in self._found.items():
            table[model][task][method] = _mean(found)
        return table

    def share(self, plan: Plan, cell: Cell) -> Share | None:
        """None where no cell of the model, the method and the task is finished, and the table has none."""
        method, task = plan.classification.method(cell.arm), Setting.of(cell.dataset).task
        if found := self._found.get((cell.model, task, method)):
            device = ", ".join(dict.fromkeys(device for _, device in found))
            return _share(_mean(found), device, "recorded")
        known = self._shipped.get(cell.model, {}).get(task, {}).get(method)
        return None if known is None else _share(Cost(**known), "cpu", "measured")

    @cached_property
    def _shipped(self) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
        """As `means`, of the shipped table."""
        return read_json(REFERENCE)["models"]


def _mean(found: list[tuple[Cost, str]]) -> Cost:
    return Cost(*(fmean(each) for each in zip(*(cost for cost, _ in found))))


def _share(cost: Cost, device: str, basis: str) -> Share:
    return Share(
        work=Work((round(cost.steps),) * 2, (0, 0)),
        rate=Rate(None, 0.0, device, basis),
        job_seconds=cost.seconds + JOB_SECONDS,
        bytes=int(cost.bytes),
    )
