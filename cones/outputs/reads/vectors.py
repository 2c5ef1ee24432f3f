"""The class vectors of a grid's cells and, where an output asks for them, the features of their boxes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cones.experiment.cell import Cell, Plan
from cones.experiment.cell_steps import job_of_cell
from cones.experiment.outputs import Output
from cones.experiment.pipeline import Pipeline
from cones.experiment.stale import Staleness
from cones.outputs.analysis.names import EMBEDDINGS
from cones.outputs.cells import last_line
from cones.runtime.errors import ConesError
from cones.runtime.verification import recorded_state

if TYPE_CHECKING:
    from cones.data.registry import Dataset
    from cones.outputs.analysis.embeddings import Embeddings


@dataclass(frozen=True)
class Vectors:
    """The embeddings of each cell, in the order of the grids, and the datasets by name."""

    of_cells: Mapping[Cell, Embeddings]
    registry: Mapping[str, Dataset]


def _cells(plan: Plan, output: Output) -> list[Cell]:
    return list(dict.fromkeys(cell for grid in plan.parts_of(output) for cell in plan.cells(grid)))


def inputs(plan: Plan, output: Output) -> list[Path]:
    return [cell.folder / EMBEDDINGS for cell in _cells(plan, output)]


def settings(plan: Plan, output: Output) -> object:
    return None


def is_begun(plan: Plan, output: Output) -> bool:
    grids = [grid for grid in output.grids if grid in plan.suite.grids]
    return any((cell.folder / EMBEDDINGS).exists() for grid in grids for cell in plan.cells(grid))


def read(plan: Plan, output: Output, *, partial: bool = False) -> Vectors:
    """Read the embeddings of all cells; ConesError for a file that is missing, unreadable, stale or of another state.

    With `partial` the reason stands in its place.
    """
    stale = Staleness(Pipeline(plan))
    return Vectors({cell: _embeddings(cell, partial, stale) for cell in _cells(plan, output)}, plan.registry)


def _embeddings(cell: Cell, partial: bool, stale: Staleness) -> Embeddings:
    from cones.outputs.analysis.embeddings import Embeddings

    path = cell.folder / EMBEDDINGS
    if partial and not path.exists():
        return Embeddings(missing=_why(cell))
    try:
        stale.refuse(job_of_cell("embed", cell))
        return Embeddings.load(path, state_sha256=recorded_state(cell.folder))
    except ConesError as error:
        if not partial:
            raise
        return Embeddings(missing=f"failed ({error})")


def _why(cell: Cell) -> str:
    """The last line in the log of the step that left no file, if it has run."""
    step = "embed" if (cell.folder / "state.safetensors").exists() else "tune"
    reason = last_line(cell.logs / f"{step}.log")
    return f"failed ({reason})" if reason else "not run"
