"""A table as people see it: heads, text, legend and notes; Markdown, terminal and report show the same sheet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from cones.outputs.wording import NO_NUMBER, md_line, md_page

NOTES = "notes"


@dataclass(frozen=True)
class Score:
    """A printed number, the texts `beside` it (such as the published one), and whether it is the section's best."""

    text: str
    beside: tuple[str, ...] = ()  # one text for each name in the column's `Sheet.beside`
    is_best: bool = False

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True)
class Sheet:
    """A table for people: rows[r][c] is text, or a Score, below heads[c].

    The first `names` columns say what a row is, the others hold its numbers. A last column with the head NOTES holds
    the marks of the row's notes.

    beside      {column: names of what stands beside its numbers}, such as {4: ("paper", "difference")}
    as_lines    in text these are lines of their own below the row, named in its last name; else columns of their own
    in_section  the first so many names make the title of a section: in Markdown they are columns, in which a name is
                not repeated; terminal and report put the title above its rows
    not_in_markdown  the first so many of these Markdown leaves out
    ours        the rows of ConES, which the report marks
    hints       {column: a longer name}, which the report shows when the pointer is on the head
    on_data     what a reader must know of the data behind the numbers (`cones/outputs/data_notes.py`)
    """

    heading: str
    heads: list[str]
    rows: list[list[str | Score]]
    legend: list[str]
    names: int = 1
    notes: dict[str, int] = field(default_factory=dict)  # {note: number}
    empty: str = "No cell of this suite belongs into this table."
    beside: dict[int, tuple[str, ...]] = field(default_factory=dict)
    as_lines: bool = False
    in_section: int = 0
    not_in_markdown: int = 0
    ours: frozenset[int] = frozenset()
    hints: dict[int, str] = field(default_factory=dict)
    on_data: tuple[str, ...] = ()

    @property
    def are_words(self) -> list[bool]:
        """Per column, whether it holds words, which are aligned left, or numbers, which are aligned right."""
        return [place < self.names or head == NOTES for place, head in enumerate(self.heads)]

    @property
    def has_best(self) -> bool:
        return any(isinstance(cell, Score) and cell.is_best for row in self.rows for cell in row)


def trimmed(sheet: Sheet) -> Sheet:
    """The sheet without its column of notes, where it has none."""
    if sheet.notes or sheet.heads[-1] != NOTES:
        return sheet
    return replace(sheet, heads=sheet.heads[:-1], rows=[row[:-1] for row in sheet.rows])


def as_text(sheet: Sheet) -> Sheet:
    """The sheet with text alone in its cells: what stands beside a number becomes lines or columns."""
    if sheet.as_lines:
        rows = [line for row in sheet.rows for line in _lines(sheet, row)]
        return replace(sheet, rows=rows, beside={}, as_lines=False)
    heads, rows = [], [[] for _ in sheet.rows]
    for column, head in enumerate(sheet.heads):
        names = sheet.beside.get(column, ())
        heads += [head, *names]
        for line, row in zip(rows, sheet.rows):
            line += [str(row[column]), *_beside(row[column], len(names))]
    return replace(sheet, heads=heads, rows=rows, beside={})


def _lines(sheet: Sheet, row: list[str | Score]) -> Iterator[list[str]]:
    """Yield a row, and below it a line for each kind of text beside its numbers."""
    yield [str(cell) for cell in row]
    kinds = dict.fromkeys(name for names in sheet.beside.values() for name in names)
    for kind in kinds:
        line = [*map(str, row[: sheet.names - 1]), kind, *[""] * (len(row) - sheet.names)]
        for column, names in sheet.beside.items():
            if kind in names:
                line[column] = _beside(row[column], len(names))[names.index(kind)]
        yield line


def _beside(cell: str | Score, count: int) -> tuple[str, ...]:
    there = cell.beside if isinstance(cell, Score) else ()
    return there or (NO_NUMBER,) * count


def sheet_markdown(sheet: Sheet) -> str:
    """The sheet as Markdown: title, table, legend, numbered notes and notes on the data."""
    sheet = as_text(trimmed(sheet))
    if not sheet.rows:
        return f"# {sheet.heading}\n\n{sheet.empty}\n"
    rows = [row[sheet.not_in_markdown :] for row in blank_repeats(sheet.rows, sheet.in_section)]
    rule = ["---" if is_word else "--:" for is_word in sheet.are_words]
    lines = [md_line(sheet.heads[sheet.not_in_markdown :]), md_line(rule[sheet.not_in_markdown :]), *map(md_line, rows)]
    return md_page(sheet.heading, "\n".join(lines), sheet.legend, sheet.notes, sheet.on_data)


def blank_repeats(rows: list[list[str]], columns: int) -> list[list[str]]:
    """Blank the leading names that repeat those of the row above."""
    shown, above = [], None
    for row in rows:
        same = 0
        while above and same < columns and row[same] == above[same]:
            same += 1
        shown.append([""] * same + row[same:])
        above = row
    return shown


def sections(sheet: Sheet) -> Iterator[tuple[str, list[tuple[int, list[str | Score]]]]]:
    """Yield (title, [(number of the row, its cells without the names of the title)]) from top to bottom; without
    `in_section` one section without a title."""
    title, section_rows = None, []
    for place, row in enumerate(sheet.rows):
        mine = ", ".join(map(str, row[: sheet.in_section]))
        if mine != title and section_rows:
            yield title or "", section_rows
            section_rows = []
        title = mine
        section_rows.append((place, row[sheet.in_section :]))
    if section_rows:
        yield title or "", section_rows
