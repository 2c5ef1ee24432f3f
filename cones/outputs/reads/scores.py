"""The scores of a grid's cells, from its `<grid>_cells.csv`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cones.experiment.cell import RESULTS, Plan
from cones.experiment.outputs import Output
from cones.outputs.files import cells_file, named

if TYPE_CHECKING:
    from pandas import DataFrame


def inputs(plan: Plan, output: Output) -> list[Path]:
    return [RESULTS / plan.suite.suite / cells_file(grid) for grid in plan.parts_of(output)]


def settings(plan: Plan, output: Output) -> object:
    return None


def is_begun(plan: Plan, output: Output) -> bool:
    return any(is_grid_begun(plan, grid) for grid in plan.parts_of(output))


def is_grid_begun(plan: Plan, grid: str) -> bool:
    """Whether any cell of the grid has numbers, or the reason for having none."""
    return any((cell.folder / "metrics.json").exists() for cell in plan.cells(grid))


def read(plan: Plan, output: Output, *, partial: bool = False) -> DataFrame:
    """The cells of all grids that the output reads; with `partial` those of an unfinished run."""
    paths = [path.with_name(named(path.name, partial)) for path in inputs(plan, output)]
    return read_tables([path for path in paths if path.exists() or not partial])


def read_tables(paths: list[Path]) -> DataFrame:
    """The cells of several `<grid>_cells.csv`, each cell once."""
    import pandas as pd

    from cones.outputs.cells import KEYS, read_cells

    tables = [read_cells(path) for path in paths]
    if len(tables) == 1:
        return tables[0]
    return pd.concat(tables, ignore_index=True).drop_duplicates(list(KEYS), ignore_index=True)
