"""A sheet on the terminal: columns that do not fit beside each other go below each other, with the names again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from cones.tables.sheet import Sheet, trimmed

if TYPE_CHECKING:
    from rich.console import Console

GAP = "  "


def print_sheet(sheet: Sheet, console: Console) -> None:
    """Heading, table, legend, numbered notes."""
    from rich.text import Text

    sheet = trimmed(sheet)
    console.print(Text(sheet.heading, style="bold"))
    if not sheet.rows:
        console.print(Text(sheet.empty))
        return
    for columns in _folded(sheet, console.width):
        console.print()
        for line, style in _lines(sheet, columns):
            print_line(console, line, style)
    print_end(console, sheet.legend, sheet.notes)


def print_line(console: Console, line: str, style: str) -> None:
    """A line of a table, however wide the terminal is."""
    from rich.text import Text

    console.print(Text(line, style=style), no_wrap=True, overflow="ignore", crop=False)


def print_end(console: Console, legend: list[str], notes: dict[str, int]) -> None:
    """What stands below a table."""
    from rich.text import Text

    console.print()
    for line in legend:
        console.print(Text(line, style="dim"))
    for note, place in notes.items():
        console.print(Text(f"[{place}] {note}"))


def _folded(sheet: Sheet, width: int) -> Iterator[list[int]]:
    """The columns of each part: the names, and as many of the others as fit."""
    names = list(range(sheet.names))
    widths = [_width(sheet, column) + len(GAP) for column in range(len(sheet.heads))]
    part, room = [], width - sum(widths[: sheet.names])
    for column in range(sheet.names, len(sheet.heads)):
        if part and sum(widths[each] for each in (*part, column)) > room + len(GAP):
            yield names + part
            part = []
        part.append(column)
    yield names + part


def _width(sheet: Sheet, column: int) -> int:
    """Of the widest text below the head, or of the longest word in it."""
    words = sheet.heads[column].split() or [""]
    return max(len(text) for text in (*words, *(row[column] for row in sheet.rows)))


def _lines(sheet: Sheet, columns: list[int]) -> Iterator[tuple[str, str]]:
    """(line, style): heads, broken between words, with their last lines side by side; a rule; the rows."""
    from textwrap import wrap

    widths = [_width(sheet, column) for column in columns]
    heads = [wrap(sheet.heads[column], width) for column, width in zip(columns, widths)]
    height = max(map(len, heads))
    for row in zip(*([""] * (height - len(head)) + head for head in heads)):
        yield _spaced(sheet, columns, row, widths), "bold"
    yield "─" * (sum(widths) + len(GAP) * (len(widths) - 1)), "dim"
    for row in sheet.rows:
        yield _spaced(sheet, columns, [row[column] for column in columns], widths), ""


def _spaced(sheet: Sheet, columns: list[int], cells, widths: list[int]) -> str:
    are_words = sheet.are_words
    padded = [
        cell.ljust(width) if are_words[column] else cell.rjust(width)
        for column, cell, width in zip(columns, cells, widths)
    ]
    return GAP.join(padded).rstrip()
