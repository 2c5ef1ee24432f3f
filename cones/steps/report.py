"""Step `report`: write the HTML page and the figure of a suite from its tables and run.json files."""

from collections.abc import Iterable
from pathlib import Path

from cones.data.state import waiting
from cones.experiment.cell import RESULTS, Cell, Plan
from cones.experiment.outputs import grids_of_methods, outputs_of, scored_grids
from cones.experiment.suite import CONFIG_FOLDER, MAIN_GRID
from cones.outputs.files import Row, named
from cones.outputs.reads.records import classified_records_of, records_of
from cones.outputs.records import Record
from cones.outputs.report.figures import save_methods_figure
from cones.outputs.report.files import FIGURE, PAGE
from cones.outputs.report.left_out import left_out_of
from cones.outputs.report.page import Sources, page
from cones.outputs.report.panels import panels
from cones.outputs.report.pictures import pictures_of
from cones.outputs.report.rates import read_study
from cones.outputs.report.sections import sections_of
from cones.outputs.table1 import read_rows
from cones.runtime.artifacts import write_text
from cones.runtime.errors import ConesError


def write_report(plan: Plan, *, overrides: dict | None = None, partial: bool = False) -> list[Path]:
    """`report.html` of the suite, from its tables and run.json files; of Table 1 `figure_methods.png` and `.pdf`.

    With `partial`, after a failed run, `report.partial.html` from the partial tables, without the figure. `overrides`
    are those that made `plan`.
    """
    folder = RESULTS / plan.suite.suite
    sources = read_sources(plan, overrides or {}, folder, partial)
    written = folder / named(PAGE, partial)
    write_text(written, page(sources))
    if partial or sources.table1 is None:
        return [written]
    shown = panels([record.row for record in sources.records], sources.table1)
    figure = save_methods_figure(shown, folder / FIGURE, suite=plan.suite.suite, title=plan.suite.title)
    return [written, *figure]


def read_sources(plan: Plan, overrides: dict, folder: Path, partial: bool) -> Sources:
    """Everything the page shows, read from the tables in `folder` and from the cells of the plan."""
    suite, parts = plan.suite, plan.suite.parts
    records = records_of(plan, scored_grids(parts), partial=partial)
    of_methods = _of(plan, records, grids_of_methods(parts))
    studies, missing_studies = _studies(suite.learning_rate_studies, partial)
    return Sources(
        suite=suite.suite,
        title=suite.title,
        records=list(_of(plan, records, [MAIN_GRID]).values()),
        of_methods=list(of_methods.values()),
        of_all=[*records.values(), *classified_records_of(plan, partial=partial).values()],
        has_detectors=bool(suite.grids),
        table1=read_rows(folder / named("table1.csv", partial)) if MAIN_GRID in suite.grids else None,
        config=(CONFIG_FOLDER / f"{suite.suite}.yaml").read_text(encoding="utf-8"),
        overrides=overrides,
        sections=tuple(
            sections_of(
                outputs_of(parts),
                folder,
                suite=suite.suite,
                title=suite.title,
                overrides=overrides,
                partial=partial,
            )
        ),
        pictures=pictures_of(plan, of_methods, partial=partial) if suite.report.pictures and suite.grids else None,
        study=studies,
        missing_studies=missing_studies,
        left_out=tuple(left_out_of(folder, partial=partial)),
        waiting=tuple(waiting(plan.registry, suite.all_datasets, suite.source, suite.data_dir)),
        unfinished=partial,
    )


def _studies(paths: Iterable[str], partial: bool) -> tuple[list[Row], tuple[str, ...]]:
    """(rows of all, why some cannot be shown); a malformed one ends a finished run, but not a partial report."""
    rows, missing = [], []
    for path in paths:
        if not Path(path).exists():
            missing.append(f"{path}: there is no such file")
            continue
        try:
            rows += read_study(path)
        except ConesError as error:
            if not partial:
                raise
            missing.append(str(error))
    return rows, tuple(missing)


def _of(plan: Plan, records: dict[Cell, Record], grids: Iterable[str]) -> dict[Cell, Record]:
    """The records of the cells that belong to one of the grids."""
    asked = {cell for grid in grids if grid in plan.suite.grids for cell in plan.cells(grid)}
    return {cell: record for cell, record in records.items() if cell in asked}
