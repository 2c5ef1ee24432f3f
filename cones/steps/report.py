"""Step `report`: the tables and run.json files of a suite become one page to look at, and one figure."""

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
from cones.tables.files import cells_file, partial_name, read_csv
from cones.tables.render import read_rows
from cones.tables.wording import Row


def write_report(plan: Plan, *, overrides: dict | None = None, partial: bool = False) -> list[Path]:
    """`report.html`, `figure_methods.png` and `.pdf` of the suite, from its tables and run.json files; the paths.

    With `partial`, after a failed run, `report.partial.html` from the partial tables, without the figure. `overrides`
    are those that made `plan`.
    """
    folder, name = RESULTS / plan.suite.suite, partial_name if partial else str
    sources = read_sources(plan, overrides or {}, folder, partial)
    written = folder / name(PAGE)
    write_text(written, page(sources))
    if partial:
        return [written]
    shown = panels([record.row for record in sources.records], sources.table1)
    figure = save_methods_figure(shown, folder / FIGURE, suite=plan.suite.suite, title=plan.suite.title)
    return [written, *figure]


def read_sources(plan: Plan, overrides: dict, folder: Path, partial: bool) -> Sources:
    """Everything the page shows, read from the tables in `folder` and from the cells of the plan."""
    name, suite = partial_name if partial else str, plan.suite
    study, missing_study = _study(suite.learning_rate_study, partial)
    return Sources(
        suite=suite.suite,
        title=suite.title,
        records=records_of(plan, folder / name(cells_file(MAIN_GRID)), partial=partial),
        table1=read_rows(folder / name("table1.csv")),
        details={table: read_csv(folder / name(f"{table}.csv")) for table in DETAIL_TABLES},
        config=(CONFIG_FOLDER / f"{suite.suite}.yaml").read_text(encoding="utf-8"),
        overrides=overrides,
        analyses=tuple(analyses(folder, suite.parts, suite=suite.suite, title=suite.title, rename=name)),
        study=study,
        missing_study=missing_study,
        waiting=tuple(waiting(plan.registry, suite.all_datasets, suite.source, suite.data_dir)),
        unfinished=partial,
    )


def _study(path: str | None, partial: bool) -> tuple[list[Row] | None, str | None]:
    """(rows, None), or (None, why there are none); a malformed one ends a finished run, but not a partial report."""
    if path is None:
        return None, None
    if not Path(path).exists():
        return None, f"{path}: there is no such file"
    try:
        return read_study(path), None
    except ConesError as error:
        if not partial:
            raise
        return None, str(error)


def records_of(plan: Plan, cells: Path, *, partial: bool = False) -> list[Record]:
    """The cells of Table 1 with what each recorded of itself; `cells` is its `table1_cells.csv`."""

    def run_file(row: Row) -> Path:
        cell = Cell(plan.suite.suite, row["model"], row["dataset"], row["arm"], int(row["seed"]))
        return cell.folder / "run.json"

    return read_records(cells, run_file, partial=partial)
