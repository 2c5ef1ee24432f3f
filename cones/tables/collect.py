"""The last step of a run: the cells' files become `cells.csv`, `table1.csv` and its Markdown twin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cones.artifacts import write_text
from cones.tables.cells import ExpectedCell, collect_cells
from cones.tables.render import markdown, read_rows
from cones.tables.table1 import table1

if TYPE_CHECKING:
    from pandas import DataFrame

CSV_DECIMALS = 4


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
    """Write `cells.csv`, `table1.csv` and `table1.md` into `out_dir`, each whole or not at all; returns their paths.

    `metrics` and `logs` map expected cells to files, which need not exist (see `collect_cells`). With `partial`,
    for a run that failed, the names are `cells.partial.csv`, `table1.partial.csv` and `table1.partial.md`, and a
    malformed metrics file is a reason in the table rather than an error. `title` describes the suite in a few words.
    """
    infix = ".partial" if partial else ""
    paths = [Path(out_dir) / f"{stem}{infix}.{suffix}" for stem, suffix in _FILES]
    cells = collect_cells(expected, metrics, logs, suite=suite, partial=partial)
    write_text(paths[0], to_csv(cells))
    write_text(paths[1], to_csv(table1(cells, suite=suite)))
    if partial:
        title = ", ".join(filter(None, [title, "unfinished: some cells failed or did not run"]))
    write_text(paths[2], markdown(read_rows(paths[1]), suite=suite, title=title))
    return paths


_FILES = (("cells", "csv"), ("table1", "csv"), ("table1", "md"))


def to_csv(frame: DataFrame) -> str:
    """CSV text with at most CSV_DECIMALS decimals and one kind of line end; what is missing is empty."""
    numbers = frame.select_dtypes("float").columns
    return frame.assign(**{name: frame[name].round(CSV_DECIMALS) for name in numbers}).to_csv(
        index=False, lineterminator="\n"
    )
