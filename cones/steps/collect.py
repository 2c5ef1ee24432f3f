"""Steps `collect` and `table7`: the cells of a grid and the datasets of a suite become tables."""

from pathlib import Path

from cones.artifacts import write_text
from cones.cell import RESULTS, Cell, Plan
from cones.errors import ConesError, closest
from cones.steps.holes import log_of_failure
from cones.tables.cells import ExpectedCell
from cones.tables.collect import collect
from cones.tables.files import TABLES_OF, named, read_csv
from cones.tables.sheet import sheet_markdown
from cones.tables.table7 import table7_sheet, write_table7
from cones.tables.wording import said_of_suite
from cones.verification import Digests, check_cell


def collect_grid(plan: Plan, grid: str, *, partial: bool = False) -> list[Path]:
    """The tables of one grid of the suite, and its cells; with `partial` what there is so far, with reasons.

    A cell that is not what its `run.json` says is refused (with `partial`: is a hole, with the reason).
    """
    cells = list(plan.cells(grid))
    if grid not in TABLES_OF:
        tables = [name for name in plan.suite.grids if name in TABLES_OF]
        raise ConesError(
            f'no table is collected from grid "{grid}"', where=plan.suite.suite, next_step=closest(grid, tables)
        )
    expected = [_expected(plan, cell) for cell in cells]
    folders, digests = {key: cell.folder for key, cell in zip(expected, cells)}, Digests(states=False)
    return collect(
        suite=plan.suite.suite,
        grid=grid,
        title=plan.suite.title,
        expected=expected,
        metrics={key: folder / "metrics.json" for key, folder in folders.items()},
        logs={key: log_of_failure(plan, cell) for key, cell in zip(expected, cells)},
        out_dir=RESULTS / plan.suite.suite,
        check=lambda cell: check_cell(folders[cell], digests),
        partial=partial,
    )


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
    )


def count_datasets(plan: Plan, *, partial: bool = False) -> list[Path]:
    """`table7.csv` and `.md` of the suite, from the manifests of its datasets; `partial` as in `collect_grid`."""
    suite, title = plan.suite.suite, said_of_suite(plan.suite.title, partial)
    csv = write_table7(
        RESULTS / suite / named("table7.csv", partial),
        suite=suite,
        source=plan.suite.source,
        registry=plan.registry,
        datasets=plan.suite.all_datasets,
        manifests={name: plan.data_folder(name) / "manifest.json" for name in plan.suite.all_datasets},
    )
    write_text(csv.with_suffix(".md"), sheet_markdown(table7_sheet(*read_csv(csv), suite=suite, title=title)))
    return [csv, csv.with_suffix(".md")]
