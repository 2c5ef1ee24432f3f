"""Steps `collect` and `table7`: the cells of a grid and the datasets of a suite become tables."""

from pathlib import Path

from cones.artifacts import write_text
from cones.cell import RESULTS, Cell, Plan
from cones.tables.cells import ExpectedCell
from cones.tables.collect import collect
from cones.tables.files import named, read_csv
from cones.tables.sheet import sheet_markdown
from cones.tables.table7 import table7_sheet, write_table7
from cones.tables.wording import said_of_suite


def collect_grid(plan: Plan, grid: str, *, partial: bool = False) -> list[Path]:
    """The tables of one grid of the suite, and its cells; with `partial` what there is so far, with reasons."""
    cells = list(plan.cells(grid))
    expected = [_expected(plan, cell) for cell in cells]
    return collect(
        suite=plan.suite.suite,
        grid=grid,
        title=plan.suite.title,
        expected=expected,
        metrics={key: cell.folder / "metrics.json" for key, cell in zip(expected, cells)},
        logs={key: last_log(cell) for key, cell in zip(expected, cells)},
        out_dir=RESULTS / plan.suite.suite,
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
        tokens_per_class=plan.tokens_per_class(cell),
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


def last_log(cell: Cell) -> Path:
    """The log of the last step of a cell that has run."""
    folder = Path("logs") / cell.folder.relative_to(RESULTS)
    return folder / ("evaluate.log" if (folder / "evaluate.log").exists() else "tune.log")
