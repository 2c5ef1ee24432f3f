"""The scores of a grid's cells on their own datasets, and on the others that the grid names for them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cones.evaluation.elsewhere import FILE, Elsewhere, read_elsewhere
from cones.experiment.cell import Cell, Plan
from cones.experiment.cell_steps import job_of_cell
from cones.experiment.outputs import Output
from cones.experiment.pipeline import Pipeline
from cones.experiment.stale import Staleness
from cones.outputs.cells import check_identity, last_line
from cones.outputs.reads import scores
from cones.runtime.errors import ConesError
from cones.runtime.verification import recorded_state

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class ScoredElsewhere:
    """Cells with their scores on other datasets.

    cells   as `collect_cells` makes them
    others  {(model, dataset, arm, seed): its scores on other datasets, or why there are none}
    """

    cells: DataFrame
    others: Mapping[tuple, Elsewhere | str]


def _cells(plan: Plan, output: Output) -> list[Cell]:
    cells = dict.fromkeys(cell for grid in plan.parts_of(output) for cell in plan.cells(grid))
    return [cell for cell in cells if plan.scored_elsewhere(cell)]


def inputs(plan: Plan, output: Output) -> list[Path]:
    return [*scores.inputs(plan, output), *(cell.folder / FILE for cell in _cells(plan, output))]


def settings(plan: Plan, output: Output) -> object:
    return None


def is_begun(plan: Plan, output: Output) -> bool:
    return scores.is_begun(plan, output)


def read(plan: Plan, output: Output, *, partial: bool = False) -> ScoredElsewhere:
    """Read all cells; ConesError for a file that is missing, malformed, stale, or of another cell or state. With
    `partial` the reason stands in its place."""
    stale = Staleness(Pipeline(plan))
    others = {
        (cell.model, cell.dataset, cell.arm, cell.seed): _elsewhere(plan, cell, partial, stale)
        for cell in _cells(plan, output)
    }
    return ScoredElsewhere(scores.read(plan, output, partial=partial), others)


def _elsewhere(plan: Plan, cell: Cell, partial: bool, stale: Staleness) -> Elsewhere | str:
    path = cell.folder / FILE
    if partial and not path.exists():
        reason = last_line(cell.logs / "elsewhere.log")
        return f"failed ({reason})" if reason else "not run"
    try:
        found = read_elsewhere(path)
        check_identity(found.cell.model_dump(), {**vars(cell), "method": plan.settings(cell).method}, path)
        stale.refuse(job_of_cell("elsewhere", cell))
        found.check_state(recorded_state(cell.folder), path)
        return found
    except ConesError as error:
        if not partial:
            raise
        return f"failed ({error})"
