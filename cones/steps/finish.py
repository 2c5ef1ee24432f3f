"""Step `finish`: the end of a run says where its tables and report are, or what is missing and why."""

from cones.cell import RESULTS, Plan
from cones.data.state import waiting
from cones.report.files import PAGE
from cones.steps.collect import collect_suite
from cones.steps.report import write_report
from cones.tables.files import TABLE_FILES, partial_name
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
    folder = RESULTS / plan.suite.suite
    collect_suite(plan, partial=True)
    where = f"{folder / partial_name('table1.md')}"
    if any((cell.folder / "metrics.json").exists() for cell in plan.cells()):  # empty ones help nobody
        print_table(folder / partial_name("table1.csv"), title=plan.suite.title)
        (report,) = write_report(plan, overrides=overrides, partial=True)
        where = f"{where}; the report: {report}"
    print(f"Not complete. The table so far, with reasons: {where}; logs are under logs/.")


def _tell_of_success(plan: Plan, since: float) -> None:
    folder = RESULTS / plan.suite.suite
    for name in (*TABLE_FILES, PAGE):
        (folder / partial_name(name)).unlink(missing_ok=True)
    table, report = folder / "table1.csv", folder / PAGE
    if table.exists() and table.stat().st_mtime >= since:
        print_table(table, title=plan.suite.title)
        print(f"The table: {table} and .md beside it; every cell: {folder / 'cells.csv'}")
    if report.exists() and report.stat().st_mtime >= since:
        print(f"The report: {report}")


def tell_what_waits(plan: Plan) -> None:
    """The datasets whose files did not come, each with what a person has to do; nothing if all came."""
    suite = plan.suite
    if not (found := waiting(plan.registry, suite.datasets, suite.source, suite.data_dir)):
        return
    print(f"\n{len(found)} of {len(suite.datasets)} datasets still need you:")
    for one in found:
        print(f"  {one.dataset} ({one.status}): {one.what}")
    print("Then run the same command again: it goes on with these alone.\n", flush=True)
