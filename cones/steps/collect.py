"""Steps `collect` and `finish`: the cells of a suite become tables, and the end of a run says where they are."""

from pathlib import Path

from cones.cell import RESULTS, Cell, Plan
from cones.data.state import waiting
from cones.tables.cells import ExpectedCell
from cones.tables.collect import collect
from cones.tables.files import TABLE_FILES, partial_name
from cones.tables.render import print_table
from cones.tables.table7 import write_table7


def collect_suite(plan: Plan, *, partial: bool = False) -> list[Path]:
    """`cells.csv` and Tables 1, 8 and 10 of the suite; with `partial` what there is so far, with reasons."""
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


def count_datasets(plan: Plan) -> Path:
    """`table7.csv` of the suite, from the manifests of its datasets."""
    return write_table7(
        RESULTS / plan.suite.suite / "table7.csv",
        suite=plan.suite.suite,
        source=plan.suite.source,
        registry=plan.registry,
        datasets=plan.suite.datasets,
        manifests={name: plan.data_folder(name) / "manifest.json" for name in plan.suite.datasets},
    )


def tell_what_waits(plan: Plan) -> None:
    """The datasets whose files did not come, each with what a person has to do; nothing if all came."""
    suite = plan.suite
    if not (found := waiting(plan.registry, suite.datasets, suite.source, suite.data_dir)):
        return
    print(f"\n{len(found)} of {len(suite.datasets)} datasets still need you:")
    for one in found:
        print(f"  {one.dataset} ({one.status}): {one.what}")
    print("Then run the same command again: it goes on with these alone.\n", flush=True)


def last_log(cell: Cell) -> Path:
    """The log of the last step of a cell that has run."""
    folder = Path("logs") / cell.folder.relative_to(RESULTS)
    return folder / ("evaluate.log" if (folder / "evaluate.log").exists() else "tune.log")


def finish_run(plan: Plan, *, failed: bool, since: float = 0.0) -> None:
    """Print the table if it was made `since`; after a failure write and print the partial one, with reasons."""
    folder = RESULTS / plan.suite.suite
    if failed:
        collect_suite(plan, partial=True)
        if any((cell.folder / "metrics.json").exists() for cell in plan.cells()):  # an empty table helps nobody
            print_table(folder / "table1.partial.csv", title=plan.suite.title)
        print(f"Not complete. The table so far, with reasons: {folder / 'table1.partial.md'}; logs are under logs/.")
        tell_what_waits(plan)
        return
    for name in TABLE_FILES:
        (folder / partial_name(name)).unlink(missing_ok=True)
    table = folder / "table1.csv"
    if table.exists() and table.stat().st_mtime >= since:
        print_table(table, title=plan.suite.title)
        print(f"The table: {table} and .md beside it; every cell: {folder / 'cells.csv'}")
    tell_what_waits(plan)
