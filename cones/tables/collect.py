"""From the cells' files to a grid's tidy CSV, its tables, and their Markdown twins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial as with_arguments
from pathlib import Path
from typing import TYPE_CHECKING

from cones.artifacts import write_text
from cones.tables.box_mask_render import table2_markdown, table4_markdown
from cones.tables.cells import ExpectedCell, collect_cells
from cones.tables.detail import detail_table
from cones.tables.detail_render import detail_markdown
from cones.tables.files import TABLES_OF, cells_file, partial_name, read_csv, to_csv
from cones.tables.render import table1_markdown
from cones.tables.table1 import table1
from cones.tables.table2 import table2
from cones.tables.table4 import table4

if TYPE_CHECKING:
    from pandas import DataFrame

UNFINISHED = "unfinished: some cells failed or did not run"


@dataclass(frozen=True)
class Table:
    """`frame(cells, suite=)`: a table of `collect_cells`' rows; `markdown(columns, rows, suite=, title=)`: its page."""

    frame: Callable[..., DataFrame]
    markdown: Callable[..., str]


TABLES: dict[str, Table] = {
    "table1": Table(table1, table1_markdown),
    "table2": Table(table2, table2_markdown),
    "table4": Table(table4, table4_markdown),
    "table8": Table(with_arguments(detail_table, table="table8"), with_arguments(detail_markdown, table="table8")),
    "table10": Table(with_arguments(detail_table, table="table10"), with_arguments(detail_markdown, table="table10")),
}


def collect(
    *,
    suite: str,
    grid: str,
    expected: Sequence[ExpectedCell],
    metrics: Mapping[ExpectedCell, Path],
    logs: Mapping[ExpectedCell, Path] | None = None,
    out_dir: str | Path,
    partial: bool = False,
    title: str | None = None,
) -> list[Path]:
    """Write the files of `files_of(grid)` into `out_dir`; returns their paths.

    Each file is whole or absent. `metrics` and `logs` map expected cells to files, which need not exist (see
    `collect_cells`). With `partial`, for a run that failed, the names are those of `partial_name`, and a malformed
    metrics file is a reason in the tables rather than an error. `title` describes the suite in a few words.
    """
    cells = collect_cells(expected, metrics, logs, suite=suite, partial=partial)
    if partial:
        title = ", ".join(filter(None, [title, UNFINISHED]))
    written = []

    def write(name: str, text: str) -> Path:
        written.append(Path(out_dir) / (partial_name(name) if partial else name))
        write_text(written[-1], text)
        return written[-1]

    write(cells_file(grid), to_csv(cells))
    for name in TABLES_OF[grid]:
        columns, rows = read_csv(write(f"{name}.csv", to_csv(TABLES[name].frame(cells, suite=suite))))
        write(f"{name}.md", TABLES[name].markdown(columns, rows, suite=suite, title=title))
    return written
