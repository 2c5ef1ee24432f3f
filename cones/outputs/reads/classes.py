"""The AP of each class, from the metrics.json of the cells behind the tables of methods."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cones.experiment.cell import Plan
from cones.experiment.outputs import Output
from cones.outputs.reads import records

if TYPE_CHECKING:
    from cones.evaluation.metrics import CellMetrics


def inputs(plan: Plan, output: Output) -> list[Path]:
    paths = records.inputs(plan, output)
    return [path.with_name("metrics.json") if path.name == "run.json" else path for path in paths]


def settings(plan: Plan, output: Output) -> object:
    return None


def is_begun(plan: Plan, output: Output) -> bool:
    return records.is_begun(plan, output)


def read(plan: Plan, output: Output, *, partial: bool = False) -> list[CellMetrics]:
    """The metrics of every cell that is collected and has numbers."""
    from cones.evaluation.metrics import read_metrics

    found = records.records_of(plan, plan.parts_of(output), partial=partial)
    return [read_metrics(cell.folder / "metrics.json") for cell, record in found.items() if record.is_done]
