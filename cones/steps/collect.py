"""Step `collect`: write the scores of a grid's cells to `<grid>_cells.csv`, of which its tables are made."""

from pathlib import Path

from cones.experiment.cell import RESULTS, Cell, Plan
from cones.experiment.outputs import scored_grids
from cones.experiment.pipeline import Pipeline
from cones.experiment.stale import check_of_cells
from cones.outputs.cells import ExpectedCell, cells_csv, collect_cells
from cones.outputs.files import cells_file, named
from cones.outputs.holes import has_numbers, log_of_failure
from cones.runtime.artifacts import write_text
from cones.runtime.errors import ConesError, closest


def collect_grid(plan: Plan, grid: str, *, partial: bool = False) -> Path:
    """Write the cells of one grid of the suite; with `partial` what there is so far, with reasons.

    A cell whose data or other inputs were made again since, and failed, has no numbers and that reason (`has_numbers`).
    A cell that is not what its `run.json` says, or not what the plan would make now, is refused (with `partial`: is a
    hole, with the reason).
    """
    cells = list(plan.cells(grid))
    grids = scored_grids(plan.suite.parts)
    if grid not in grids:
        raise ConesError(f'no table is made of grid "{grid}"', where=plan.suite.suite, next_step=closest(grid, grids))
    expected = [_expected(plan, cell) for cell in cells]
    cell_of, pipeline = dict(zip(expected, cells)), Pipeline(plan)
    check = check_of_cells(pipeline)
    rows = collect_cells(
        expected,
        {key: cell.folder / "metrics.json" for key, cell in cell_of.items() if has_numbers(pipeline, cell)},
        {key: log_of_failure(pipeline, cell) for key, cell in cell_of.items()},
        suite=plan.suite.suite,
        check=lambda key: check(cell_of[key]),
        partial=partial,
    )
    written = RESULTS / plan.suite.suite / named(cells_file(grid), partial)
    write_text(written, cells_csv(rows))
    return written


def _expected(plan: Plan, cell: Cell) -> ExpectedCell:
    settings = plan.settings(cell)
    return ExpectedCell(
        model=cell.model,
        dataset=cell.dataset,
        group=plan.registry[cell.dataset].group,
        arm=cell.arm,
        method=settings.method,
        seed=cell.seed,
        losses=settings.loss_groups,
        initial_seed=plan.suite.models[cell.model].initial_seed,
        tokens_per_class=plan.tokens_per_class(cell),
        block=plan.method(cell.arm).block,
        shots=settings.tuning.shots if plan.method(cell.arm).uses_labels else None,
    )
