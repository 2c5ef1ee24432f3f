"""Table 1 for people: a Markdown twin and a terminal print, both made of the rows of `table1.csv` alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cones.errors import ConesError
from cones.tables.files import read_csv
from cones.tables.reference import GROUPS
from cones.tables.table1 import COLUMNS
from cones.tables.wording import (
    AP_MEANS,
    BLOCKS,
    Row,
    average,
    heading,
    markers,
    md_line,
    md_page,
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


def table1_markdown(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> str:
    """A Markdown page: title with the suite, the table, a legend for what occurs in it, and numbered notes."""
    if not rows:
        return f"# {heading(suite, title)}\n\n{EMPTY}\n"
    numbers = numbered_notes(rows)
    table = _md_table(rows, numbers, with_paper=suite == "paper")
    return md_page(heading(suite, title), table, legend(rows, suite), numbers)


def _md_table(rows: list[Row], numbers: dict[str, int], *, with_paper: bool) -> str:
    """The published values stand beside ours if `with_paper`; block and model are said once."""
    groups = groups_in(rows)
    header = ["trained (M)", *["paper"] * with_paper, "all (M)", *["paper"] * with_paper]
    for name in groups:
        header += [f"{GROUPS[name].title} AP", *["paper", "difference"] * with_paper]
    lines = [
        md_line(["block", "model", "method", *header, "notes"]),
        md_line(["---", "---", "---", *["--:"] * len(header), "---"]),
    ]
    previous = ("", "")
    for row in rows:
        place = (row["block"], row["model"])
        shown = ["" if place[0] == previous[0] else BLOCKS[row["block"]], "" if place == previous else row["model"]]
        previous = place
        numbers_shown = []
        for count in ("trained_M", "all_M"):
            numbers_shown += [millions(row[count]), *[millions(row[f"paper_{count}"])] * with_paper]
        for name in groups:
            beside = [number(row[f"{name}_paper"]), signed(row[f"{name}_difference"])]
            numbers_shown += [average(row, name), *beside * with_paper]
        lines.append(md_line([*shown, method_label(row), *numbers_shown, markers(row, numbers)]))
    return "\n".join(lines)


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
        console.print(Text(line, style=style), no_wrap=True, overflow="ignore", crop=False)
    console.print()
    for line in legend(rows, suite):
        console.print(Text(line, style="dim"))
    for note, place in numbers.items():
        console.print(Text(f"[{place}] {note}"))


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
    lines.append("trained, all: parameters in millions, counted as the paper does (256 learnable vectors).")
    if suite == "paper":
        lines.append(
            "Difference from the paper: ours minus the published number, only over the paper's complete group."
        )
    return lines


def _expected(rows: list[Row], group: str) -> str:
    """N of "n/N", the largest where rows differ."""
    return max((row[f"{group}_datasets"].partition("/")[2] for row in rows), key=lambda n: int(n or 0))
