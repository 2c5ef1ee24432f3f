"""Tables 1, 8 and 10 as the page shows them: rows of text with the best of each block marked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from cones.tables.detail import DETAIL_TABLES, datasets_in
from cones.tables.detail_sheet import detail_legend, empty, label
from cones.tables.reference import GROUPS
from cones.tables.render import EMPTY, groups_in, legend
from cones.tables.wording import (
    BLOCKS,
    NO_NUMBER,
    Row,
    ap,
    average,
    heading,
    is_whole,
    method_label,
    millions,
    notes_of,
    number,
    numbered_notes,
    signed,
)

Best = dict[str, str | None]  # column name -> the highest number of a block as it is printed


@dataclass(frozen=True)
class Score:
    """One place of a table: a number, what stands small below it, and whether it is the best of its block."""

    text: str
    below: tuple[str, ...] = ()
    best: bool = False


def table1_view(rows: list[Row], *, suite: str, title: str) -> dict:
    """Table 1: parameters, then one average per group of datasets."""
    groups = groups_in(rows)

    def scores(row: Row, best: Best) -> list[Score]:
        counts = [(millions(row[name]), millions(row[f"paper_{name}"])) for name in ("trained_M", "all_M")]
        parameters = [Score(ours, (theirs,) * (suite == "paper")) for ours, theirs in counts]
        said = [(name, average(row, name), " ".join(_published(row, name, suite))) for name in groups]
        return [*parameters, *(Score(text, (below,) * bool(below), _is(best, row, name)) for name, text, below in said)]

    return {
        **_view(rows, groups, scores, suite),
        "heading": heading(suite, title),
        "heads": ["trained (M)", "all (M)", *(f"{GROUPS[name].title} AP" for name in groups)],
        "legend": legend(rows, suite),
        "empty": EMPTY,
    }


def detail_view(
    table: str, columns: list[str], rows: list[Row], tested: dict[str, Row], *, suite: str, title: str
) -> dict:
    """Table 8 or 10: one AP per dataset, their average, and the size of each test split.

    Columns are many: what Table 1 says in one line stands in several here. `tested` maps a dataset to the row of any
    cell that was scored on it.
    """
    datasets = datasets_in(columns)

    def scores(row: Row, best: Best) -> list[Score]:
        found = []
        for name in (*datasets, "average"):
            text, *spread = ap(row, name).split(" ", 1)
            count = row.get(f"{name}_datasets", "")
            part = () if is_whole(count) else (f"({count})",)
            found.append(Score(text, (*spread, *part, *_published(row, name, suite)), _is(best, row, name)))
        return found

    sizes = [tested.get(name) for name in datasets]
    return {
        **_view(rows, [*datasets, "average"], scores, suite),
        "heading": heading(suite, title, what=DETAIL_TABLES[table]),
        "heads": [*(label(table, name) for name in datasets), "average"],
        "names": [*datasets, "mean over datasets"],
        "legend": detail_legend(datasets, rows, suite),
        "empty": empty(table),
        "sizes": [
            (f"test {what}", [f"{int(row[what]):,}" if row else NO_NUMBER for row in sizes])
            for what in ("images", "boxes")
        ],
    }


def _view(rows: list[Row], names: list[str], scores: Callable[[Row, Best], list[Score]], suite: str) -> dict:
    """Rows cut in blocks (by block and model); notes are numbered over the whole table."""
    numbers = numbered_notes(rows)
    blocks: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        blocks.setdefault((row["block"], row["model"]), []).append(row)
    shown = []
    for (block, model), members in blocks.items():
        best = {name: _best(members, name) for name in names}
        lines = [
            {
                "method": row["method"],
                "label": method_label(row),
                "cells": scores(row, best),
                "marks": sorted(numbers[note] for note in notes_of(row)),
            }
            for row in members
        ]
        shown.append({"name": BLOCKS[block], "model": model, "rows": lines})
    return {"blocks": shown, "notes": list(numbers), "with_paper": suite == "paper"}


def _published(row: Row, name: str, suite: str) -> tuple[str, ...]:
    """In the suite "paper" the published number, and the difference in brackets where there is one."""
    if suite != "paper" or not row[f"{name}_paper"]:
        return ()
    difference = row[f"{name}_difference"]
    return (number(row[f"{name}_paper"]), *[f"({signed(difference)})"] * bool(difference))


def _best(rows: list[Row], name: str) -> str | None:
    """The highest number of a column as it is printed, among whole averages; None where nothing stands out."""
    texts = {_comparable(row, name) for row in rows} - {None}
    return max(texts, key=float) if len(texts) > 1 else None


def _is(best: Best, row: Row, name: str) -> bool:
    return best[name] is not None and _comparable(row, name) == best[name]


def _comparable(row: Row, name: str) -> str | None:
    is_comparable = row[f"{name}_ap"] and is_whole(row.get(f"{name}_datasets", ""))
    return number(row[f"{name}_ap"]) if is_comparable else None
