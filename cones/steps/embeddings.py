"""The `embeddings.safetensors` of cells, as the steps `figure4` and `table3` read them."""

from collections.abc import Iterable

from cones.analysis.embeddings import Embeddings
from cones.cell import Cell, Plan
from cones.errors import ConesError
from cones.experiment.cell_steps import job_of_cell
from cones.experiment.pipeline import Pipeline
from cones.experiment.stale import Staleness
from cones.tables.cells import last_line
from cones.verification import recorded_state

FILE = "embeddings.safetensors"


def read_embeddings(plan: Plan, cells: Iterable[Cell], *, partial: bool = False) -> dict[Cell, Embeddings]:
    """{cell: what it has}; a cell without a readable file, with one made of another state, or with a stale one is an
    error. With `partial` it has the reason instead.
    """
    stale = Staleness(Pipeline(plan))
    return {cell: _embeddings(cell, partial, stale) for cell in cells}


def _embeddings(cell: Cell, partial: bool, stale: Staleness) -> Embeddings:
    path = cell.folder / FILE
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
    """The last line of the step that left no file, if it has run."""
    step = "embed" if (cell.folder / "state.safetensors").exists() else "tune"
    reason = last_line(cell.logs / f"{step}.log")
    return f"failed ({reason})" if reason else "not run"
