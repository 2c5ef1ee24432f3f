"""Step `show`: print a finished table on the terminal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from cones.experiment.cell import RESULTS
from cones.experiment.outputs import OUTPUTS
from cones.outputs.files import read_csv
from cones.outputs.make import sheets_of
from cones.outputs.terminal import print_sheet
from cones.runtime.errors import ConesError, closest

if TYPE_CHECKING:
    from rich.console import Console


def show_table(path: Path, console: Console | None = None, *, title: str | None = None) -> None:
    """Print the table of a CSV file, known by its name (`table5.csv`, `table5.partial.csv`).

    ConesError where no table has that name or the file is not that table.
    """
    from rich.console import Console

    console, name = console or Console(), path.name.partition(".")[0]
    if name not in OUTPUTS:
        raise ConesError("not a table that can be shown", where=path, next_step=closest(name, OUTPUTS))
    rows = read_csv(path)[1]
    try:
        suite = rows[0]["suite"] if rows else _suite_of(path)
        sheets = sheets_of(OUTPUTS[name], path, suite=suite, title=title)
    except (KeyError, ValueError) as error:
        raise ConesError(
            f"not a {name} of this version", where=path, found=error, next_step="delete it and run again"
        ) from None
    for sheet in sheets:
        print_sheet(sheet, console)
        console.print()


def _suite_of(path: Path) -> str:
    """The suite in whose folder a table lies; a copy in `results/` without a row does not say whose it is."""
    return path.parent.name if path.parent.name != RESULTS.name else "unknown"
