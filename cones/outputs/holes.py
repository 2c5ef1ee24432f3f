"""The reason why a cell has no numbers: the failed job that it depends on, and that job's log."""

from collections.abc import Iterator
from pathlib import Path

from cones.experiment.cell import Cell, Plan
from cones.experiment.pipeline import Pipeline
from cones.experiment.stale import check_of_cells
from cones.outputs.cells import last_line
from cones.runtime.errors import ConesError

Hole = tuple[str, Path | None]  # a reason, and the log that it stands in


def log_of_failure(pipeline: Pipeline, cell: Cell) -> Path | None:
    """The log of the failed job because of which a cell has no numbers, its own or one that it depends on; None if none
    has failed."""
    for job in pipeline.behind([pipeline.scoring(cell)]):
        if (log := pipeline.log(job)).exists() and not all(file.exists() for file in pipeline.files(job)):
            return log
    return None


def has_numbers(pipeline: Pipeline, cell: Cell) -> bool:
    """Whether a cell was scored, and no job that it depends on was run again after that and failed.

    Such a job leaves no files that could differ from those that the cell was made of, yet the numbers are of what was
    there before, such as a folder of pictures that has changed and cannot be read any more.
    """
    if not (cell.folder / "metrics.json").exists():
        return False
    run, log = cell.folder / "run.json", log_of_failure(pipeline, cell)
    return log is None or not run.exists() or log.stat().st_mtime <= run.stat().st_mtime


def holes(plan: Plan, cells: list[Cell]) -> dict[Hole, list[Cell]]:
    """Group the cells that a table of the unfinished run shows no numbers of: {reason and log: its cells}."""
    cells_by_hole: dict[Hole, list[Cell]] = {}
    pipeline = Pipeline(plan)
    check = check_of_cells(pipeline)
    for cell in cells:
        if hole := _hole(pipeline, cell, check):
            cells_by_hole.setdefault(hole, []).append(cell)
    return cells_by_hole


def _hole(pipeline: Pipeline, cell: Cell, check) -> Hole | None:
    if not has_numbers(pipeline, cell):
        log = log_of_failure(pipeline, cell)
        return last_line(log, longest=None) or "not reached", log
    try:
        check(cell)
    except ConesError as error:
        return f"error: {error}", None
    return None


def lines_of(cells_by_hole: dict[Hole, list[Cell]]) -> Iterator[str]:
    """Lines for a person: each reason once, with its log and the cells without numbers because of it."""
    for (reason, log), cells in cells_by_hole.items():
        others = f" and {len(cells) - 1} more" if len(cells) > 1 else ""
        yield f"  {reason}"
        yield f"    {cells[0]}{others}" + (f"; log: {log}" if log else "")
