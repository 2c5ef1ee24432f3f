"""The view of a sheet on the page: sections, the best numbers marked, what stands beside a number small below it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cones.outputs.files import Row
from cones.outputs.sheet import NOTES, Score, Sheet, sections
from cones.outputs.wording import NO_NUMBER

MANY = 8  # columns from which on a table is set small, and a number's interval stands below it
FOLDED = 35  # rows from which on a table is closed at first


@dataclass(frozen=True)
class PageCell:
    """One place of a table."""

    text: str
    below: tuple[str, ...] = ()
    is_best: bool = False


def table_view(sheet: Sheet, tested: Mapping[str, Row]) -> dict:
    """The values that the template's `table` shows, of a sheet without an empty column of notes (`trimmed`).

    `tested` maps a dataset to the row of any cell that was scored on it: where columns are datasets (`Sheet.hints`),
    the sizes of their test splits stand below.
    """
    first, with_notes = sheet.in_section, sheet.heads[-1] == NOTES
    columns = range(first, len(sheet.heads) - with_notes)
    is_many = len(columns) >= MANY
    blocks = [
        {
            "title": title,
            "rows": [
                {
                    "is_ours": place in sheet.ours,
                    "cells": [_cell(sheet, column, row[column - first], is_many) for column in columns],
                    "marks": [int(mark) for mark in re.findall(r"\[(\d+)\]", str(row[-1]))] if with_notes else [],
                }
                for place, row in rows
            ],
        }
        for title, rows in sections(sheet)
    ]
    return {
        "heading": sheet.heading,
        "heads": [(sheet.heads[n], sheet.hints.get(n, ""), sheet.are_words[n]) for n in columns],
        "names": sheet.names - first,
        "are_words": [sheet.are_words[n] for n in columns],
        "is_many": is_many,
        "is_folded": len(sheet.rows) > FOLDED,
        "is_sectioned": bool(first),
        "blocks": blocks,
        "sizes": _sizes(sheet, columns, tested),
        "legend": [*sheet.legend, *_legend(sheet)],
        "notes": list(sheet.notes),
        "on_data": sheet.on_data,
        "empty": sheet.empty,
    }


def _cell(sheet: Sheet, column: int, cell: str | Score, is_many: bool) -> PageCell:
    """A cell of the page; in a table of many columns the interval stands below the number."""
    if not isinstance(cell, Score):
        return PageCell(cell)
    published = tuple(
        text if place == 0 else f"({text})"
        for place, text in enumerate(cell.beside)
        if text != NO_NUMBER or (place == 0 and len(cell.beside) == 1)
    )
    if not is_many:
        return PageCell(cell.text, (" ".join(published),) if published else (), cell.is_best)
    text, *interval = cell.text.replace(" (", "\n(").replace(" ±", "\n±").split("\n")
    return PageCell(text, (*interval, *published), cell.is_best)


def _legend(sheet: Sheet) -> list[str]:
    lines = []
    if sheet.has_best:
        lines.append("Bold: the best of its block and model, among numbers over complete sets of datasets.")
    if sheet.beside:
        lines.append("Small, below ours: the published number, and ours minus it.")
    return lines


def _sizes(sheet: Sheet, columns: range, tested: Mapping[str, Row]) -> list[tuple[str, list[str]]]:
    """The sizes of the test splits: ("test images" or "test boxes", one text per column behind the names)."""
    if not sheet.hints:
        return []
    rows = [tested.get(sheet.hints.get(column, "")) for column in columns if column >= sheet.names]
    return [
        (f"test {what}", [f"{int(row[what]):,}" if row else NO_NUMBER for row in rows]) for what in ("images", "boxes")
    ]
