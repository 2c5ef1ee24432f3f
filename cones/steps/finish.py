"""Step `finish`: print where the tables and report of a run are, or what is missing and why."""

from collections.abc import Iterator
from pathlib import Path

from cones.data.state import waiting
from cones.experiment.cell import RESULTS, Plan
from cones.experiment.classification_cells import classification_cells
from cones.experiment.outputs import CLASSIFICATION, outputs_of, scored_grids
from cones.experiment.suite import MAIN_GRID
from cones.outputs.files import cells_file, partial_name
from cones.outputs.holes import holes, lines_of
from cones.outputs.make import make_output, reading
from cones.outputs.reads.scores import is_grid_begun
from cones.outputs.report.files import PAGE
from cones.steps.collect import collect_grid
from cones.steps.report import write_report
from cones.steps.show import show_table


def finish_run(plan: Plan, *, overrides: dict, failed: bool, since: float = 0.0) -> None:
    """Print the table and name the report if they were made `since`; `overrides` are those that made `plan`.

    After a failure write the tables and the report of what there is, with reasons, and print the table.
    """
    if failed:
        _report_failure(plan, overrides)
    else:
        _report_success(plan, since)
    report_waiting_datasets(plan)


def _report_failure(plan: Plan, overrides: dict) -> None:
    folder = RESULTS / plan.suite.suite
    begun = begun_grids(plan)
    where = ", ".join(map(str, _make_partial_outputs(plan, begun)))
    if (printed := _printed_grid(plan)) in begun:  # an empty table shows nothing
        show_table(folder / partial_name(f"{printed}.csv"), title=plan.suite.title)
    if begun:
        (report,) = write_report(plan, overrides=overrides, partial=True)
        where = f"{where}; the report: {report}"
    cells = [*plan.all_cells(on_request=False), *plan.subject_cells(), *classification_cells(plan, on_request=False)]
    missing = holes(plan, cells)
    count = sum(map(len, missing.values()))
    if count:
        print(f"\nNot complete. {count} of {len(cells)} cells have no numbers:", *lines_of(missing), sep="\n")
    else:
        print(f"\nNot complete. All {len(cells)} cells have numbers; what is made of them failed: the error is above.")
    print(f"The table so far, with reasons: {where}; logs are under logs/.")
    print("Mend that and run the same command again: what is finished is kept.", flush=True)


def _make_partial_outputs(plan: Plan, begun: list[str]) -> Iterator[Path]:
    """Write tables and figures of what there is, and yield the Markdown of each.

    If nothing is begun these are all tables of scores.
    """
    for grid in begun or scored_grids(plan.suite.parts):
        collect_grid(plan, grid, partial=True)
    for output in outputs_of(plan.suite.parts):
        is_empty = output.reads == "scores" and not begun
        if is_empty or reading(output).is_begun(plan, output):
            yield make_output(plan, output.name, partial=True)[1]


def begun_grids(plan: Plan) -> list[str]:
    """The grids of which any cell has a result."""
    return [grid for grid in scored_grids(plan.suite.parts) if is_grid_begun(plan, grid)]


def _printed_grid(plan: Plan) -> str | None:
    """The grid whose table is printed: Table 1, or where a suite has none, such as one of masks, its only one."""
    grids = [
        output.name
        for output in outputs_of(plan.suite.parts)
        if output.name in output.grids and output.reads == "scores"
    ]
    return MAIN_GRID if MAIN_GRID in grids else grids[0] if len(grids) == 1 else None


def _report_success(plan: Plan, since: float) -> None:
    folder = RESULTS / plan.suite.suite
    for left in folder.glob(partial_name("*.*")):
        left.unlink()

    def is_new(path: Path) -> bool:
        return path.exists() and path.stat().st_mtime >= since

    printed = _printed_grid(plan)
    for output in outputs_of(plan.suite.parts):
        table = folder / f"{output.name}.csv"
        if output.name in output.grids and output.reads in ("scores", CLASSIFICATION) and is_new(table):
            if output.name == printed:
                show_table(table, title=plan.suite.title)
            print(f"The table: {table} and .md beside it; every cell: {folder / cells_file(output.name)}")
    for output in outputs_of(plan.suite.parts):
        for name in (f"{stem}.png" for stem in output.figures):
            if is_new(figure := folder / name):
                print(f"The figure: {figure}, .pdf beside it; its numbers: {folder / output.name}.csv")
    for model, dataset in dict.fromkeys((cell.model, cell.dataset) for cell in plan.all_cells()):
        if is_new(picture := plan.picture(model, dataset)):
            print(f"The picture, annotated beside predicted: {picture}")
    if is_new(report := folder / PAGE):
        print(f"The report: {report}")


def report_waiting_datasets(plan: Plan) -> None:
    """Print the datasets whose files are missing, each with what a person has to do; nothing if none is."""
    suite = plan.suite
    if not (datasets := waiting(plan.registry, suite.all_datasets, suite.source, suite.data_dir)):
        return
    print(f"\n{len(datasets)} of {len(suite.all_datasets)} datasets still need you:")
    for entry in datasets:
        print(f"  {entry.dataset} ({entry.status}): {entry.what}")
    print("Then run the same command again: it goes on with these alone.\n", flush=True)
