"""The cells of a grid of the survey: accuracies of each target, how the cell was fitted, and what it cost."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cones.experiment.cell import Cell, Plan
from cones.experiment.classification_cells import grid_cells
from cones.experiment.outputs import Output
from cones.experiment.pipeline import Pipeline
from cones.experiment.stale import check_of_cells
from cones.outputs.cells import check_identity, last_line
from cones.outputs.classified import ClassifiedCell, cells_table
from cones.outputs.holes import has_numbers, log_of_failure
from cones.runtime.artifacts import read_json
from cones.runtime.errors import ConesError

if TYPE_CHECKING:
    from pandas import DataFrame


def _cells(plan: Plan, output: Output) -> list[Cell]:
    return list(dict.fromkeys(cell for grid in plan.parts_of(output) for cell in grid_cells(plan, grid)))


def inputs(plan: Plan, output: Output) -> list[Path]:
    """Every file of every cell."""
    pipeline = Pipeline(plan)
    return [file for cell in _cells(plan, output) for file in pipeline.files(pipeline.scoring(cell))]


def settings(plan: Plan, output: Output) -> object:
    return None


def is_begun(plan: Plan, output: Output) -> bool:
    return any((cell.folder / "metrics.json").exists() for cell in _cells(plan, output))


def read(plan: Plan, output: Output, *, partial: bool = False) -> DataFrame:
    """Read all cells; one that is stale or not what its `run.json` says is refused, or with `partial` a hole with the
    reason."""
    pipeline = Pipeline(plan)
    check = check_of_cells(pipeline)
    return cells_table([_classified(pipeline, cell, check, partial) for cell in _cells(plan, output)])


def _classified(pipeline: Pipeline, cell: Cell, check: Callable[[Cell], None], partial: bool) -> ClassifiedCell:
    from cones.evaluation.classification_metrics import read_classification_metrics

    method, file = pipeline.plan.classification.method(cell.arm), cell.folder / "metrics.json"
    if not file.exists() or (partial and not has_numbers(pipeline, cell)):
        return ClassifiedCell(cell, method, None, {}, last_line(log_of_failure(pipeline, cell)))
    try:
        metrics = read_classification_metrics(file)
        check_identity(metrics.cell.model_dump(), {**vars(cell), "method": method}, file)
        check(cell)
    except ConesError as error:
        if not partial:
            raise
        return ClassifiedCell(cell, method, None, {}, str(error))
    return ClassifiedCell(cell, method, metrics, read_json(cell.folder / "run.json"))
