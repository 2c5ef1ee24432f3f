"""Step `finish`: the end of a run says where its tables and report are, or what is missing and why."""

from pathlib import Path

from cones.cell import RESULTS, Plan
from cones.config import MAIN_GRID
from cones.data.state import waiting
from cones.report.files import PAGE
from cones.steps.collect import collect_grid
from cones.steps.report import write_report
from cones.tables.files import cells_file, files_of, partial_name
from cones.tables.render import print_table


def finish_run(plan: Plan, *, overrides: dict, failed: bool, since: float = 0.0) -> None:
    """Print the table and name the report if they were made `since`; `overrides` are those that made `plan`.

    After a failure write the tables and the report of what there is, with reasons, and print the table.
    """
    if failed:
        _tell_of_failure(plan, overrides)
    else:
        _tell_of_success(plan, since)
    tell_what_waits(plan)


def _tell_of_failure(plan: Plan, overrides: dict) -> None:
    folder, begun = RESULTS / plan.suite.suite, begun_grids(plan)
    for grid in begun or plan.suite.grids:
        collect_grid(plan, grid, partial=True)
    where = ", ".join(str(folder / partial_name(f"{grid}.md")) for grid in begun or plan.suite.grids)
    if MAIN_GRID in begun:  # empty ones help nobody
        print_table(folder / partial_name("table1.csv"), title=plan.suite.title)
        (report,) = write_report(plan, overrides=overrides, partial=True)
        where = f"{where}; the report: {report}"
    print(f"Not complete. The table so far, with reasons: {where}; logs are under logs/.")


def begun_grids(plan: Plan) -> list[str]:
    """The grids of which any cell has a result."""
    return [
        grid for grid in plan.suite.grids if any((cell.folder / "metrics.json").exists() for cell in plan.cells(grid))
    ]


def _tell_of_success(plan: Plan, since: float) -> None:
    folder = RESULTS / plan.suite.suite
    for name in (*(name for grid in plan.suite.grids for name in files_of(grid)), PAGE):
        (folder / partial_name(name)).unlink(missing_ok=True)

    def is_new(path: Path) -> bool:
        return path.exists() and path.stat().st_mtime >= since

    for grid in plan.suite.grids:
        if is_new(table := folder / f"{grid}.csv"):
            if grid == MAIN_GRID:
                print_table(table, title=plan.suite.title)
            print(f"The table: {table} and .md beside it; every cell: {folder / cells_file(grid)}")
    if is_new(report := folder / PAGE):
        print(f"The report: {report}")


def tell_what_waits(plan: Plan) -> None:
    """The datasets whose files did not come, each with what a person has to do; nothing if all came."""
    suite = plan.suite
    if not (found := waiting(plan.registry, suite.all_datasets, suite.source, suite.data_dir)):
        return
    print(f"\n{len(found)} of {len(suite.all_datasets)} datasets still need you:")
    for one in found:
        print(f"  {one.dataset} ({one.status}): {one.what}")
    print("Then run the same command again: it goes on with these alone.\n", flush=True)
