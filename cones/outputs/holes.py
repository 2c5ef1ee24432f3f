"""The reason why a cell has no numbers: the failed job that it depends on, and that job's log."""

from collections.abc import Iterator
from pathlib import Path

from cones.experiment.cell import Cell, Plan
from cones.experiment.pipeline import Pipeline
from cones.outputs.cells import last_line


def log_of_failure(pipeline: Pipeline, cell: Cell) -> Path | None:
    """The log of the failed job because of which a cell has no numbers, its own or one that it depends on; None if none
    has failed."""
    for job in pipeline.behind([pipeline.scoring(cell)]):
        if (log := pipeline.log(job)).exists() and not all(file.exists() for file in pipeline.files(job)):
            return log
    return None


def holes(plan: Plan, cells: list[Cell]) -> dict[Path | None, list[Cell]]:
    """Group the cells without numbers: {log of the failure: its cells}; under None those that were not reached."""
    cells_by_log: dict[Path | None, list[Cell]] = {}
    pipeline = Pipeline(plan)
    for cell in cells:
        if not (cell.folder / "metrics.json").exists():
            cells_by_log.setdefault(log_of_failure(pipeline, cell), []).append(cell)
    return cells_by_log


def lines_of(cells_by_log: dict[Path | None, list[Cell]]) -> Iterator[str]:
    """Lines for a person: each reason once, with its log and the cells without numbers because of it."""
    for log, cells in cells_by_log.items():
        others = f" and {len(cells) - 1} more" if len(cells) > 1 else ""
        if log is None:
            yield f"  not reached: {cells[0]}{others}"
        else:
            yield f"  {last_line(log, longest=None)}"
            yield f"    {cells[0]}{others}; log: {log}"
