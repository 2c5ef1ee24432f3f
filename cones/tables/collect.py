"""From the cells' files to `cells.csv`, Tables 1, 8 and 10, and their Markdown twins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cones.artifacts import write_text
from cones.tables.cells import ExpectedCell, collect_cells
from cones.tables.detail import DETAIL_TABLES, detail_table
from cones.tables.detail_render import detail_markdown
from cones.tables.files import partial_name, read_csv, to_csv
from cones.tables.render import markdown, read_rows
from cones.tables.table1 import table1

UNFINISHED = "unfinished: some cells failed or did not run"


def collect(
    *,
    suite: str,
    expected: Sequence[ExpectedCell],
    metrics: Mapping[ExpectedCell, Path],
    logs: Mapping[ExpectedCell, Path] | None = None,
    out_dir: str | Path,
    partial: bool = False,
    title: str | None = None,
) -> list[Path]:
    """Write `cells.csv`, and `.csv` and `.md` of `table1`, `table8` and `table10`, into `out_dir`; returns their paths.

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

    write("cells.csv", to_csv(cells))
    rows = read_rows(write("table1.csv", to_csv(table1(cells, suite=suite))))
    write("table1.md", markdown(rows, suite=suite, title=title))
    for table in DETAIL_TABLES:
        columns, rows = read_csv(write(f"{table}.csv", to_csv(detail_table(cells, table, suite=suite))))
        write(f"{table}.md", detail_markdown(columns, rows, table, suite=suite, title=title))
    return written
