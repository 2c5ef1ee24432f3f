"""The records of the cells behind the tables of methods: their rows, and their run.json files."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cones.experiment.cell import RESULTS, Cell, Plan
from cones.experiment.classification import Setting
from cones.experiment.outputs import Output, outputs_of
from cones.outputs.files import Row, cells_file, named
from cones.outputs.reads.scores import is_grid_begun
from cones.outputs.records import Record, read_records


def inputs(plan: Plan, output: Output) -> list[Path]:
    grids = plan.parts_of(output)
    cells = dict.fromkeys(cell for grid in grids for cell in plan.cells(grid))
    tables = [RESULTS / plan.suite.suite / cells_file(grid) for grid in grids]
    return [*tables, *(cell.folder / "run.json" for cell in cells)]


def settings(plan: Plan, output: Output) -> object:
    return None


def is_begun(plan: Plan, output: Output) -> bool:
    return any(is_grid_begun(plan, grid) for grid in plan.parts_of(output))


def read(plan: Plan, output: Output, *, partial: bool = False) -> list[Record]:
    return list(records_of(plan, plan.parts_of(output), partial=partial).values())


def records_of(plan: Plan, grids: Iterable[str], *, partial: bool = False) -> dict[Cell, Record]:
    """The record of every cell of those grids that is collected, each cell once."""
    folder, records = RESULTS / plan.suite.suite, {}
    for grid in grids:
        cells = folder / named(cells_file(grid), partial)
        if cells.exists():
            for record in read_records(cells, lambda row: _cell(plan, row).folder / "run.json", partial=partial):
                records.setdefault(_cell(plan, record.row), record)
    return records


def classified_records_of(plan: Plan, *, partial: bool = False) -> dict[Cell, Record]:
    """The record of every classifier's cell behind the suite's tables that are there, each cell once."""
    folder, records = RESULTS / plan.suite.suite, {}
    for output in outputs_of(plan.suite.parts):
        cells = folder / named(cells_file(output.name), partial)
        if output.reads == "classification" and cells.exists():
            for record in read_records(cells, lambda row: _classified(plan, row).folder / "run.json", partial=partial):
                records.setdefault(_classified(plan, record.row), record)
    return records


def _classified(plan: Plan, row: Row) -> Cell:
    setting = Setting(row["dataset"], row["setting"], int(row["shots"]))
    return Cell(plan.suite.suite, row["model"], str(setting), row["arm"], int(row["seed"]))


def _cell(plan: Plan, row: Row) -> Cell:
    return Cell(plan.suite.suite, row["model"], row["dataset"], row["arm"], int(row["seed"]))
