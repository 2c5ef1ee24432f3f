"""Step `finish`: the end of a run says where its tables and report are, or what is missing and why."""

from collections.abc import Iterator
from pathlib import Path

from cones.analysis.files import NUMBERS, SHOWN
from cones.cell import RESULTS, Plan
from cones.config import BOXES_GRID, MAIN_GRID
from cones.data.state import waiting
from cones.report.files import PAGE
from cones.steps.collect import collect_grid, count_datasets
from cones.steps.collect_subjects import collect_subjects
from cones.steps.efficiency import write_efficiency
from cones.steps.embeddings import FILE as EMBEDDINGS
from cones.steps.figure4 import write_figure4
from cones.steps.holes import holes, told
from cones.steps.report import write_report
from cones.steps.table3 import write_table3
from cones.tables.files import METHOD_GRIDS, TABLES_OF, cells_file, partial_name
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
    for grid in begun or collected(plan):
        collect_grid(plan, grid, partial=True)
    count_datasets(plan, partial=True)
    made = [folder / partial_name(f"{grid}.md") for grid in begun or collected(plan)]
    where = ", ".join(map(str, [*made, *_analyse(plan, begun)]))
    if MAIN_GRID in begun:  # empty ones help nobody
        print_table(folder / partial_name("table1.csv"), title=plan.suite.title)
        (report,) = write_report(plan, overrides=overrides, partial=True)
        where = f"{where}; the report: {report}"
    cells = [*plan.all_cells(), *plan.subject_cells()]
    missing = holes(plan, cells)
    count = sum(map(len, missing.values()))
    if count:
        print(f"\nNot complete. {count} of {len(cells)} cells have no numbers:", *told(missing), sep="\n")
    else:
        print(f"\nNot complete. All {len(cells)} cells have numbers; what is made of them failed: the error is above.")
    print(f"The table so far, with reasons: {where}; logs are under logs/.")
    print("Mend that and run the same command again: what is finished is kept.", flush=True)


def _analyse(plan: Plan, begun: list[str]) -> Iterator[Path]:
    """Costs, figures and distances of what there is, one file of each."""
    if set(begun) & set(METHOD_GRIDS):
        yield write_efficiency(plan, partial=True)[1]
    for grid, write in (("figure4", write_figure4), (BOXES_GRID, write_table3)):
        if grid in plan.suite.grids and any((cell.folder / EMBEDDINGS).exists() for cell in plan.cells(grid)):
            yield write(plan, partial=True)[1]
    if any((cell.folder / "metrics.json").exists() for cell in plan.subject_cells()):
        yield collect_subjects(plan, partial=True)[-1]


def collected(plan: Plan) -> list[str]:
    """The grids whose tables are collected from their cells' metrics; those of class vectors have none."""
    return [grid for grid in plan.suite.grids if grid in TABLES_OF]


def begun_grids(plan: Plan) -> list[str]:
    """Those of which any cell has a result."""
    return [
        grid for grid in collected(plan) if any((cell.folder / "metrics.json").exists() for cell in plan.cells(grid))
    ]


def _tell_of_success(plan: Plan, since: float) -> None:
    folder = RESULTS / plan.suite.suite
    for left in folder.glob(partial_name("*.*")):
        left.unlink()

    def is_new(path: Path) -> bool:
        return path.exists() and path.stat().st_mtime >= since

    for grid in collected(plan):
        if is_new(table := folder / f"{grid}.csv"):
            if grid == MAIN_GRID:
                print_table(table, title=plan.suite.title)
            print(f"The table: {table} and .md beside it; every cell: {folder / cells_file(grid)}")
    for name in (f"{each}.png" for each in SHOWN):
        if is_new(figure := folder / name):
            print(f"The figure: {figure}, .pdf beside it; its numbers: {folder / NUMBERS[name]}")
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
