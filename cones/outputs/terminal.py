"""Print a sheet on the terminal; columns that do not fit go into further parts below, each with the names again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from textwrap import wrap
from typing import TYPE_CHECKING

from cones.outputs.sheet import Score, Sheet, as_text, blank_repeats, sections, trimmed
from cones.outputs.wording import ON_DATA

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

GAP = 2  # characters between columns
DIFFERENCE = "difference"  # of what stands beside a number, this is shown


def print_sheet(sheet: Sheet, console: Console) -> None:
    """Print heading, table, legend, numbered notes and notes on the data."""
    from rich.text import Text

    sheet = trimmed(sheet)
    console.print(Text(sheet.heading, style="bold"))
    if not sheet.rows:
        console.print(Text(sheet.empty))
        return
    sheet = as_text(sheet) if sheet.as_lines else _in_brackets(sheet)
    indented = _indented(sheet)
    if _total(indented, range(sheet.in_section, len(sheet.heads))) <= console.width:
        _print_sections(indented, console)
    else:
        _print_folded(sheet, console)
    console.print()
    for line in sheet.legend:
        console.print(Text(line, style="dim"))
    for note, place in sheet.notes.items():
        console.print(Text(f"[{place}] {note}"))
    for note in sheet.on_data:
        console.print(Text(f"{ON_DATA}: {note}"))


def _in_brackets(sheet: Sheet) -> Sheet:
    """Put the difference from the paper in brackets behind its number, with the decimal points aligned."""
    columns = {n for n, names in sheet.beside.items() if DIFFERENCE in names}
    heads = [f"{head}\n(vs paper)" if n in columns else head for n, head in enumerate(sheet.heads)]
    rows = [[str(cell) for cell in row] for row in sheet.rows]
    if sheet.in_section:  # 100 columns are few
        rows = [[re.sub(r" (±) |\[(\d+)\]", r"\1\2", text) for text in row] for row in rows]
    for n in columns:
        for text, row in zip(rows, sheet.rows):
            difference = row[n].beside[sheet.beside[n].index(DIFFERENCE)] if isinstance(row[n], Score) else ""
            text[n] += f" ({difference})" if difference[:1] in ("+", "-") or difference[:1].isdigit() else ""
    for n, is_word in enumerate(sheet.are_words):
        if not is_word:
            behind = max(len(row[n].partition(" (")[2]) for row in rows)
            for row in rows:
                row[n] += " " * (behind - len(row[n].partition(" (")[2])) if behind else ""
    return replace(sheet, heads=heads, rows=rows, beside={})


def _indented(sheet: Sheet) -> Sheet:
    """Indent the rows of a section below its title."""
    first = sheet.in_section
    if not first:
        return sheet
    rows = [[*row[:first], f"  {row[first]}", *row[first + 1 :]] for row in sheet.rows]
    return replace(sheet, rows=rows)


def _print_sections(sheet: Sheet, console: Console) -> None:
    """Print all columns beside each other, the title of a section above its rows."""
    from rich.text import Text

    columns = range(sheet.in_section, len(sheet.heads))
    console.print()
    _print(_table(sheet, columns, [], with_heads=True), sheet, columns, console)
    for title, rows in sections(sheet):
        if title:
            console.print(Text(title, style="bold"))
        _print(_table(sheet, columns, [row for _, row in rows]), sheet, columns, console)


def _print_folded(sheet: Sheet, console: Console) -> None:
    rows = blank_repeats(sheet.rows, sheet.in_section)
    sheet = replace(sheet, rows=[[str(cell) for cell in row] for row in rows])
    for columns in _folded(sheet, console.width):
        console.print()
        rows = [[row[column] for column in columns] for row in sheet.rows]
        _print(_table(sheet, columns, rows, with_heads=True), sheet, columns, console)


def _folded(sheet: Sheet, width: int) -> Iterator[list[int]]:
    """The columns of each part: the names, and as many of the others as fit."""
    names = list(range(sheet.not_in_markdown, sheet.names))
    part: list[int] = []
    for column in range(sheet.names, len(sheet.heads)):
        if part and _total(sheet, [*names, *part, column]) > width:
            yield names + part
            part = []
        part.append(column)
    yield names + part


def _table(sheet: Sheet, columns, rows: list[list[str]], *, with_heads: bool = False) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE_HEAD, show_header=with_heads, show_edge=False, pad_edge=False)
    table.padding = (0, GAP - 1, 0, 0)  # and the space between two columns
    for column in columns:
        width = _width(sheet, column)
        lines = [line for part in sheet.heads[column].split("\n") for line in wrap(part, width)]
        head = Text("\n".join(lines))
        justify = "left" if sheet.are_words[column] else "right"
        table.add_column(head, justify=justify, width=width, no_wrap=True, vertical="bottom", header_style="bold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    return table


def _print(table: Table, sheet: Sheet, columns, console: Console) -> None:
    """Print a table without cropping its lines, however narrow the terminal is."""
    console.print(table, width=max(console.width, _total(sheet, columns)), crop=False)


def _total(sheet: Sheet, columns) -> int:
    return sum(_width(sheet, column) + GAP for column in columns) - GAP


def _width(sheet: Sheet, column: int) -> int:
    """The width of a column: that of its widest cell, or of the longest word in the first line of its head."""
    first, *others = sheet.heads[column].split("\n")
    return max(len(text) for text in ("", *first.split(), *others, *(str(row[column]) for row in sheet.rows)))
