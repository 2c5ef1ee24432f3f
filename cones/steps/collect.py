"""Steps `collect` and `finish`: the cells of a suite become tables, and the end of a run says where they are."""

from pathlib import Path

from cones.cell import RESULTS, Cell, Plan
from cones.tables.cells import ExpectedCell
from cones.tables.collect import collect
from cones.tables.render import print_table

PARTIAL = ("cells.partial.csv", "table1.partial.csv", "table1.partial.md")


def collect_suite(plan: Plan, *, partial: bool = False) -> list[Path]:
    """`cells.csv`, `table1.csv` and `table1.md` of the suite; with `partial` what there is so far, with reasons."""
    cells = list(plan.cells())
    expected = [
        ExpectedCell(
            model=cell.model,
            dataset=cell.dataset,
            group=plan.registry[cell.dataset].group,
            arm=cell.arm,
            method=plan.settings(cell).method,
            seed=cell.seed,
        )
        for cell in cells
    ]
    return collect(
        suite=plan.suite.suite,
        title=plan.suite.title,
        expected=expected,
        metrics={key: cell.folder / "metrics.json" for key, cell in zip(expected, cells)},
        logs={key: last_log(cell) for key, cell in zip(expected, cells)},
        out_dir=RESULTS / plan.suite.suite,
        partial=partial,
    )


def last_log(cell: Cell) -> Path:
    """The log of the last step of a cell that has run."""
    folder = Path("logs") / cell.folder.relative_to(RESULTS)
    return folder / ("evaluate.log" if (folder / "evaluate.log").exists() else "tune.log")


def finish_run(plan: Plan, *, failed: bool) -> None:
    """After a complete run print the table; after a failure write and print the partial one with its reasons."""
    folder = RESULTS / plan.suite.suite
    if failed:
        collect_suite(plan, partial=True)
        print_table(folder / "table1.partial.csv", title=plan.suite.title)
        print(f"Not complete. The table so far, with reasons: {folder / 'table1.partial.md'}; logs are under logs/.")
        return
    for name in PARTIAL:
        (folder / name).unlink(missing_ok=True)
    if (folder / "table1.csv").exists():
        print_table(folder / "table1.csv", title=plan.suite.title)
        print(f"The table: {folder / 'table1.csv'} and .md beside it; every cell: {folder / 'cells.csv'}")
