"""Why a cell has no numbers: the job on the way to it that failed, and that job's log."""

from collections.abc import Iterator
from pathlib import Path

from cones.experiment.cell import Cell, Plan
from cones.experiment.pipeline import Pipeline
from cones.outputs.cells import last_line


def log_of_failure(pipeline: Pipeline, cell: Cell) -> Path | None:
    """The log of the job that kept a cell from its numbers: its own, or that of what it is made of; None if no job on
    the way to it has failed."""
    for job in pipeline.behind([pipeline.scoring(cell)]):
        if (log := pipeline.log(job)).exists() and not all(file.exists() for file in pipeline.files(job)):
            return log
    return None


def holes(plan: Plan, cells: list[Cell]) -> dict[Path | None, list[Cell]]:
    """{log of a failure: the cells without numbers because of it}; under None those that were not reached."""
    found: dict[Path | None, list[Cell]] = {}
    pipeline = Pipeline(plan)
    for cell in cells:
        if not (cell.folder / "metrics.json").exists():
            found.setdefault(log_of_failure(pipeline, cell), []).append(cell)
    return found


def lines_of(found: dict[Path | None, list[Cell]]) -> Iterator[str]:
    """Lines for a person: each reason once, with its log and the cells it cost."""
    for log, cells in found.items():
        others = f" and {len(cells) - 1} more" if len(cells) > 1 else ""
        if log is None:
            yield f"  not reached: {cells[0]}{others}"
        else:
            yield f"  {last_line(log, longest=None)}"
            yield f"    {cells[0]}{others}; log: {log}"
