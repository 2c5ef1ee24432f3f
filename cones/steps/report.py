"""Step `report`: the tables and run.json files of a suite become one page to look at, and one figure."""

from collections.abc import Iterable
from pathlib import Path

from cones.artifacts import write_text
from cones.cell import RESULTS, Cell, Plan
from cones.config import CONFIG_FOLDER, MAIN_GRID
from cones.data.state import waiting
from cones.errors import ConesError
from cones.report.analyses import analyses
from cones.report.figures import save_methods_figure
from cones.report.files import FIGURE, PAGE
from cones.report.page import Sources, page
from cones.report.panels import panels
from cones.report.rates import read_study
from cones.report.records import Record, read_records
from cones.tables.detail import DETAIL_TABLES
from cones.tables.files import METHOD_GRIDS, TABLES_OF, cells_file, named, read_csv
from cones.tables.render import read_rows
from cones.tables.wording import Row


def write_report(plan: Plan, *, overrides: dict | None = None, partial: bool = False) -> list[Path]:
    """`report.html`, `figure_methods.png` and `.pdf` of the suite, from its tables and run.json files; the paths.

    With `partial`, after a failed run, `report.partial.html` from the partial tables, without the figure. `overrides`
    are those that made `plan`.
    """
    folder = RESULTS / plan.suite.suite
    sources = read_sources(plan, overrides or {}, folder, partial)
    written = folder / named(PAGE, partial)
    write_text(written, page(sources))
    if partial:
        return [written]
    shown = panels([record.row for record in sources.records], sources.table1)
    figure = save_methods_figure(shown, folder / FIGURE, suite=plan.suite.suite, title=plan.suite.title)
    return [written, *figure]


def read_sources(plan: Plan, overrides: dict, folder: Path, partial: bool) -> Sources:
    """Everything the page shows, read from the tables in `folder` and from the cells of the plan."""
    suite, found = plan.suite, read_suite_records(plan, TABLES_OF, partial=partial)
    studies, missing_studies = _studies(suite.learning_rate_studies, partial)
    return Sources(
        suite=suite.suite,
        title=suite.title,
        records=_of(plan, found, [MAIN_GRID]),
        of_methods=_of(plan, found, METHOD_GRIDS),
        of_all=list(found.values()),
        table1=read_rows(folder / named("table1.csv", partial)),
        details={table: read_csv(folder / named(f"{table}.csv", partial)) for table in DETAIL_TABLES},
        config=(CONFIG_FOLDER / f"{suite.suite}.yaml").read_text(encoding="utf-8"),
        overrides=overrides,
        analyses=tuple(
            analyses(folder, suite.parts, suite=suite.suite, title=suite.title, overrides=overrides, partial=partial)
        ),
        study=studies,
        missing_studies=missing_studies,
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


def read_suite_records(plan: Plan, grids: Iterable[str], *, partial: bool = False) -> dict[Cell, Record]:
    """The cells of those grids, as far as they are collected, each once, with what it recorded of itself."""
    folder, found = RESULTS / plan.suite.suite, {}
    for grid in (grid for grid in grids if grid in plan.suite.grids):
        cells = folder / named(cells_file(grid), partial)
        if cells.exists():
            for record in read_records(cells, lambda row: _cell(plan, row).folder / "run.json", partial=partial):
                found.setdefault(_cell(plan, record.row), record)
    return found


def _of(plan: Plan, found: dict[Cell, Record], grids: Iterable[str]) -> list[Record]:
    """Those that belong to one of the grids."""
    asked = {cell for grid in grids if grid in plan.suite.grids for cell in plan.cells(grid)}
    return [record for cell, record in found.items() if cell in asked]


def _cell(plan: Plan, row: Row) -> Cell:
    return Cell(plan.suite.suite, row["model"], row["dataset"], row["arm"], int(row["seed"]))
