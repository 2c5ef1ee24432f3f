"""From the cells' files to a grid's tidy CSV, its tables, and their Markdown twins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial as with_arguments
from pathlib import Path
from typing import TYPE_CHECKING

from cones.artifacts import write_text
from cones.tables.box_mask_sheets import table2_sheet, table4_sheet
from cones.tables.cells import ExpectedCell, collect_cells
from cones.tables.detail import detail_table
from cones.tables.detail_sheet import detail_sheet
from cones.tables.files import TABLES_OF, cells_file, named, read_csv, to_csv
from cones.tables.ranks import ranks_sheet, ranks_table
from cones.tables.render import table1_sheet
from cones.tables.sheet import Sheet, sheet_markdown
from cones.tables.table1 import table1
from cones.tables.table2 import table2
from cones.tables.table4 import table4
from cones.tables.table5 import table5, table5_sheet
from cones.tables.table9 import table9, table9_sheet
from cones.tables.wording import said_of_suite

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True)
class Table:
    """`frame(cells, suite=)`: a table of `collect_cells`' rows; `sheet(columns, rows, suite=, title=)`: for people."""

    frame: Callable[..., DataFrame]
    sheet: Callable[..., Sheet]


TABLES: dict[str, Table] = {
    "table1": Table(table1, table1_sheet),
    "table2": Table(table2, table2_sheet),
    "table4": Table(table4, table4_sheet),
    "table8": Table(with_arguments(detail_table, table="table8"), with_arguments(detail_sheet, table="table8")),
    "table10": Table(with_arguments(detail_table, table="table10"), with_arguments(detail_sheet, table="table10")),
    "ranks": Table(ranks_table, ranks_sheet),
    "table5": Table(table5, table5_sheet),
    "table9": Table(table9, table9_sheet),
}


def collect(
    *,
    suite: str,
    grid: str,
    expected: Sequence[ExpectedCell],
    metrics: Mapping[ExpectedCell, Path],
    logs: Mapping[ExpectedCell, Path] | None = None,
    out_dir: str | Path,
    check: Callable[[ExpectedCell], None] | None = None,
    partial: bool = False,
    title: str | None = None,
) -> list[Path]:
    """Write the files of `files_of(grid)` into `out_dir`; returns their paths.

    Each file is whole or absent. `metrics` and `logs` map expected cells to files, which need not exist, and `check`
    may refuse a cell (see `collect_cells`). With `partial`, for a run that failed, the names are those of
    `partial_name`, and a cell whose files are of no use is a hole with its reason rather than an error. `title`
    describes the suite in a few words.
    """
    cells = collect_cells(expected, metrics, logs, suite=suite, check=check, partial=partial)
    title, written = said_of_suite(title, partial), []

    def write(name: str, text: str) -> Path:
        written.append(Path(out_dir) / named(name, partial))
        write_text(written[-1], text)
        return written[-1]

    write(cells_file(grid), to_csv(cells))
    for name in TABLES_OF[grid]:
        columns, rows = read_csv(write(f"{name}.csv", to_csv(TABLES[name].frame(cells, suite=suite))))
        write(f"{name}.md", sheet_markdown(TABLES[name].sheet(columns, rows, suite=suite, title=title)))
    return written
