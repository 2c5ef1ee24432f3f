"""Write the files of an output: its CSV, the Markdown made of it, figures and further tables."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

from cones.experiment.cell import RESULTS, Plan
from cones.experiment.outputs import OUTPUTS, Output, outputs_of
from cones.experiment.suite import CONFIG_FOLDER
from cones.outputs.data_notes import data_notes, read_data_notes, write_data_notes
from cones.outputs.files import named, read_csv, to_csv
from cones.outputs.sheet import Sheet, sheet_markdown
from cones.outputs.wording import said_of_suite
from cones.runtime.artifacts import write_text
from cones.runtime.errors import ConesError, closest


def reading(output: Output) -> ModuleType:
    """The module of `cones/outputs/reads/` that reads for this output."""
    return importlib.import_module(output.reading_module)


def make_output(plan: Plan, name: str, *, partial: bool = False) -> list[Path]:
    """Write the files of an output of the suite and return their paths, the CSV first and the Markdown second.

    With `partial`, after a failed run, they hold what there is, with reasons, under the names of `partial_name`.
    ConesError if the suite does not have the output.
    """
    output = OUTPUTS.find(name)
    if not output.is_made_of(plan.suite.parts):
        known = [other.name for other in outputs_of(plan.suite.parts)]
        raise ConesError(
            f'the suite does not make "{name}"',
            where=f"{CONFIG_FOLDER / plan.suite.suite}.yaml: grids",
            expected=f"one of {', '.join(output.grids)}" if output.grids else None,
            next_step=f"add the grid, or {closest(name, known)}",
        )
    source = reading(output).read(plan, output, partial=partial)
    folder, title = RESULTS / plan.suite.suite, said_of_suite(plan.suite.title, partial)
    on_data = data_notes(plan, output)
    return write_output(output, source, folder, suite=plan.suite.suite, title=title, on_data=on_data, partial=partial)


def write_output(
    output: Output,
    source: Any,
    folder: Path,
    *,
    suite: str,
    title: str,
    on_data: Sequence[str] = (),
    partial: bool = False,
) -> list[Path]:
    """Write the files of an output made of `source` to `folder`, each atomically, and return their paths.

    `on_data`: what a reader must know of the data behind the numbers.
    """
    module, csv = output.load(), folder / named(f"{output.name}.csv", partial)
    write_text(csv, to_csv(module.frame(source, suite=suite), output.decimals))
    rows = read_csv(csv)[1]
    notes = write_data_notes(csv, on_data)
    sheets = sheets_of(output, csv, suite=suite, title=title)
    write_text(csv.with_suffix(".md"), "\n".join(map(sheet_markdown, sheets)))
    written = [csv, csv.with_suffix(".md"), notes]
    for name, table in module.further(source, suite=suite).items() if output.further else ():
        written.append(folder / named(name, partial))
        write_text(written[-1], to_csv(table, output.decimals))
    if pictures := (*output.figures, *output.supplement):
        files = {stem: folder / named(f"{stem}.png", partial) for stem in pictures}
        written += module.draw(source, rows, files, suite=suite, title=title)
    return written


def sheets_of(output: Output, csv: Path, *, suite: str, title: str | None = None) -> list[Sheet]:
    """The sheets that show a `<name>.csv` to people; the notes on the data, from beside it, stand below the last."""
    columns, rows = read_csv(csv)
    made = output.load().sheet(columns, rows, suite=suite, title=title)
    sheets = made if isinstance(made, list) else [made]
    return [*sheets[:-1], replace(sheets[-1], on_data=tuple(read_data_notes(csv, suite)))]
