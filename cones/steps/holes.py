"""Why a cell has no numbers: the job on the way to it that failed, and that job's log."""

from collections.abc import Iterator
from pathlib import Path

from cones.cell import LOGS, RESULTS, Cell, Plan
from cones.models.pretrained import record_file
from cones.outputs.cells import last_line


def log_of_failure(plan: Plan, cell: Cell) -> Path | None:
    """The log of the step that kept a cell from its numbers: its own, or that of what it is made of; None if no step
    on the way to it has failed."""
    return next((log for log, output in _way(plan, cell) if log.exists() and not output.exists()), None)


def holes(plan: Plan, cells: list[Cell]) -> dict[Path | None, list[Cell]]:
    """{log of a failure: the cells without numbers because of it}; under None those that were not reached."""
    found: dict[Path | None, list[Cell]] = {}
    for cell in cells:
        if not (cell.folder / "metrics.json").exists():
            found.setdefault(log_of_failure(plan, cell), []).append(cell)
    return found


def told(found: dict[Path | None, list[Cell]]) -> Iterator[str]:
    """Lines for a person: each reason once, with its log and the cells it cost."""
    for log, cells in found.items():
        others = f" and {len(cells) - 1} more" if len(cells) > 1 else ""
        if log is None:
            yield f"  not reached: {cells[0]}{others}"
        else:
            yield f"  {last_line(log, longest=None)}"
            yield f"    {cells[0]}{others}; log: {log}"


def _way(plan: Plan, cell: Cell) -> Iterator[tuple[Path, Path]]:
    """(log, what the step would have left) of every step of a cell, the last first."""
    drawn = plan.suite.generation
    if drawn and cell.model == drawn.model:
        yield from _own_of_subject(plan, cell)
        yield LOGS / "checkpoints" / f"pretrained-{cell.model}.log", record_file(cell.model)
        yield from _of_data(plan, drawn.dataset)
        return
    yield from _own(cell)
    if "stage1" in plan.method(cell.arm).inputs:
        yield from _own(plan.stage1(cell))
    text = plan.text_states(cell.model, cell.dataset)
    yield LOGS / text.parent.relative_to(RESULTS) / "text.log", text
    yield LOGS / "checkpoints" / f"{cell.model}.log", plan.weights(cell.model)
    yield from _of_data(plan, cell.dataset)


def _of_data(plan: Plan, dataset: str) -> Iterator[tuple[Path, Path]]:
    data, logs = plan.data_folder(dataset), LOGS / "data" / plan.suite.source / dataset
    yield logs / "prepare.log", data / "manifest.json"
    yield logs / "fetch.log", data / "fetch.json"
    for archive in plan.registry[dataset].source(plan.suite.source).archives:
        yield logs / f"draw-{archive.filename}.log", data.parent / "mirror" / dataset / archive.filename


def _own_of_subject(plan: Plan, cell: Cell) -> Iterator[tuple[Path, Path]]:
    yield cell.logs / "score.log", cell.folder / "metrics.json"
    yield cell.logs / "draw.log", cell.folder / "images" / "reconstruction" / "prompts.json"
    yield cell.logs / "learn.log", cell.folder / "state.safetensors"
    drawn = plan.suite.generation
    for step, file in (("look", plan.real_pictures), ("encode", plan.text_states)):
        made = file(drawn.model, drawn.dataset)
        yield LOGS / made.parent.relative_to(RESULTS) / f"{step}.log", made


def _own(cell: Cell) -> Iterator[tuple[Path, Path]]:
    yield cell.logs / "evaluate.log", cell.folder / "metrics.json"
    yield cell.logs / "tune.log", cell.folder / "state.safetensors"
