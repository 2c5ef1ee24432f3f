"""A table as people see it: heads, text, legend and notes; Markdown, terminal and report show the same sheet."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from cones.tables.wording import md_line, md_page

NOTES = "notes"


@dataclass(frozen=True)
class Sheet:
    """rows[r][c] is text below heads[c]; the first `names` columns say what a row is, the others hold its numbers.

    A last column with the head NOTES holds the marks of the row's notes.
    """

    heading: str
    heads: list[str]
    rows: list[list[str]]
    legend: list[str]
    names: int = 1
    notes: dict[str, int] = field(default_factory=dict)  # {note: number}
    empty: str = "No cell of this suite belongs into this table."

    @property
    def are_words(self) -> list[bool]:
        """Per column: words begin at the left, numbers end at the right."""
        return [place < self.names or head == NOTES for place, head in enumerate(self.heads)]


def trimmed(sheet: Sheet) -> Sheet:
    """Without the column of notes where there are none."""
    if sheet.notes or sheet.heads[-1] != NOTES:
        return sheet
    return replace(sheet, heads=sheet.heads[:-1], rows=[row[:-1] for row in sheet.rows])


def sheet_markdown(sheet: Sheet) -> str:
    """Title, table, legend, numbered notes."""
    sheet = trimmed(sheet)
    if not sheet.rows:
        return f"# {sheet.heading}\n\n{sheet.empty}\n"
    rule = ["---" if is_word else "--:" for is_word in sheet.are_words]
    lines = [md_line(sheet.heads), md_line(rule), *map(md_line, sheet.rows)]
    return md_page(sheet.heading, "\n".join(lines), sheet.legend, sheet.notes)


def said_once(rows: list[list[str]], columns: int) -> list[list[str]]:
    """Leading names that repeat those of the row above become empty."""
    shown, above = [], None
    for row in rows:
        same = 0
        while above and same < columns and row[same] == above[same]:
            same += 1
        shown.append([""] * same + row[same:])
        above = row
    return shown
