"""Table 1 for people: a sheet and a print for the terminal, both made of the rows of `table1.csv` alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cones.errors import ConesError
from cones.tables.files import read_csv
from cones.tables.reference import GROUPS
from cones.tables.sheet import NOTES, Sheet, said_once
from cones.tables.table1 import COLUMNS
from cones.tables.terminal import print_end, print_line
from cones.tables.wording import (
    AP_MEANS,
    BLOCKS,
    PARAMETERS_MEAN,
    Row,
    average,
    heading,
    markers,
    method_label,
    millions,
    number,
    numbered_notes,
    signed,
    signs,
)

if TYPE_CHECKING:
    from rich.console import Console

EMPTY = "No cell of this suite belongs into Table 1."


def read_rows(path: str | Path) -> list[Row]:
    """The rows of a `table1.csv` as text; ConesError unless it has that table's columns."""
    columns, rows = read_csv(path)
    if tuple(columns) != COLUMNS:
        raise ConesError("not a Table 1 of this version", where=path, next_step="delete it and run again")
    return rows


def table1_sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> Sheet:
    """The averages of every group; in the suite "paper" the published values stand beside ours."""
    groups, numbers, beside = groups_in(rows), numbered_notes(rows), suite == "paper"
    heads = ["block", "model", "method", "trained (M)", *["paper"] * beside, "all (M)", *["paper"] * beside]
    for name in groups:
        heads += [f"{GROUPS[name].title} AP", *["paper", "difference"] * beside]
    body = []
    for row in rows:
        line = [BLOCKS[row["block"]], row["model"], method_label(row)]
        for count in ("trained_M", "all_M"):
            line += [millions(row[count]), *[millions(row[f"paper_{count}"])] * beside]
        for name in groups:
            published = [number(row[f"{name}_paper"]), signed(row[f"{name}_difference"])]
            line += [average(row, name), *published * beside]
        body.append([*line, markers(row, numbers)])
    return Sheet(
        heading(suite, title),
        [*heads, NOTES],
        said_once(body, 2),
        legend(rows, suite) if rows else [],
        names=3,
        notes=numbers,
        empty=EMPTY,
    )


def print_table(path: str | Path, *, title: str | None = None, console: Console | None = None) -> None:
    """Print a `table1.csv` on the terminal; legible from 100 columns on."""
    from rich.console import Console
    from rich.text import Text

    console = console or Console()
    rows = read_rows(path)
    if not rows:
        console.print(Text(EMPTY))
        return
    suite, numbers = rows[0]["suite"], numbered_notes(rows)
    console.print(Text(heading(suite, title), style="bold"))
    console.print()
    for line, style in _terminal_lines(rows, numbers, suite):
        print_line(console, line, style)
    print_end(console, legend(rows, suite), numbers)


def _terminal_lines(rows: list[Row], numbers: dict[str, int], suite: str) -> Iterator[tuple[str, str]]:
    """(line, style): column heads, then per block and model a line of its own and one line per method."""
    groups = groups_in(rows)
    body = [[f"  {method_label(row)}", millions(row["trained_M"]), millions(row["all_M"])] for row in rows]
    for name in groups:
        body = [[*cells, column] for cells, column in zip(body, _aligned(rows, name))]
    body = [[*cells, markers(row, numbers, "{}")] for cells, row in zip(body, rows)]
    measure = "AP (vs paper)" if suite == "paper" else "AP"
    heads = [
        ["", "trained", "all", *(GROUPS[name].title for name in groups), ""],
        ["", "(M)", "(M)", *(measure for _ in groups), "notes"],
    ]
    widths = [max(map(len, column)) for column in zip(*heads, *body)]
    for head in heads:
        yield _spaced(head, widths), "bold"
    yield "─" * len(_spaced([" " * width for width in widths], widths, strip=False)), "dim"
    previous = None
    for row, cells in zip(rows, body):
        place = (row["block"], row["model"])
        if place != previous:
            yield f"{BLOCKS[row['block']]}, {row['model']}", "bold"
        previous = place
        yield _spaced(cells, widths), ""


def _spaced(cells: list[str], widths: list[int], *, strip: bool = True) -> str:
    """Names and averages to the left, parameter counts to the right."""
    padded = [cell.rjust(w) if n in (1, 2) else cell.ljust(w) for n, (cell, w) in enumerate(zip(cells, widths))]
    line = "  ".join(padded)
    return line.rstrip() if strip else line


def _aligned(rows: list[Row], group: str) -> list[str]:
    """One column of averages with their decimal points below each other, what stands in brackets behind them."""
    means = [average(row, group).replace(" ± ", "±").partition(" ") for row in rows]  # 100 columns are few
    width = max(len(mean) for mean, _, _ in means)
    signs = [signed(row[f"{group}_difference"]) if row[f"{group}_difference"] else "" for row in rows]
    return [
        f"{mean:>{width}} {rest}".rstrip() + (f" ({sign})" if sign else "")
        for (mean, _, rest), sign in zip(means, signs)
    ]


def groups_in(rows: list[Row]) -> list[str]:
    """The groups in which the suite has any dataset."""
    return [name for name in GROUPS if any(row[f"{name}_datasets"] for row in rows)]


def legend(rows: list[Row], suite: str) -> list[str]:
    """What a reader must know, as far as it occurs in this table."""
    groups = groups_in(rows)
    sizes = ", ".join(f"{GROUPS[name].title} {_expected(rows, name)}" for name in groups)
    lines = [f"{AP_MEANS}, then over datasets ({sizes}).", *signs(rows, groups)]
    lines.append(PARAMETERS_MEAN)
    if suite == "paper":
        lines.append(
            "Difference from the paper: ours minus the published number, only over the paper's complete group."
        )
    return lines


def _expected(rows: list[Row], group: str) -> str:
    """N of "n/N", the largest where rows differ."""
    return max((row[f"{group}_datasets"].partition("/")[2] for row in rows), key=lambda n: int(n or 0))
