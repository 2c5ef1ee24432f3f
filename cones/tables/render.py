"""Table 1 for people: a Markdown twin and a terminal print, both made of the rows of `table1.csv` alone."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from cones.errors import ConesError
from cones.evaluation.seeds import rounded, with_interval
from cones.methods import METHODS
from cones.tables.reference import GROUPS
from cones.tables.table1 import COLUMNS, NOTE_SEPARATOR

if TYPE_CHECKING:
    from rich.console import Console

Row = dict[str, str]

BLOCKS = {"zero_shot": "Zero-shot", "peft": "Parameter-efficient", "fine_tuning": "Fine-tuning", "other": "Other"}
NO_NUMBER = "\u2013"  # en dash
INCOMPARABLE = "not comparable with the paper"
EMPTY = "No cell of this suite belongs into Table 1."


def read_rows(path: str | Path) -> list[Row]:
    """The rows of a `table1.csv` as text; ConesError unless it has that table's columns."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            columns, rows = tuple(reader.fieldnames or ()), list(reader)
    except FileNotFoundError:
        raise ConesError("file is missing", where=path, next_step="run `make table1`") from None
    if columns != COLUMNS:
        raise ConesError("not a Table 1 of this version", where=path, next_step="delete it and run again")
    return rows


def markdown(rows: list[Row], *, suite: str, title: str | None = None) -> str:
    """A Markdown page: title with the suite, the table, a legend for what occurs in it, and numbered notes."""
    if not rows:
        return f"# {heading(suite, title)}\n\n{EMPTY}\n"
    numbers = _numbered_notes(rows)
    parts = [
        f"# {heading(suite, title)}",
        _md_table(rows, numbers, with_paper=suite == "paper"),
        "\n".join(f"- {line}" for line in _legend(rows, suite)),
    ]
    if numbers:
        parts.append("Notes\n\n" + "\n".join(f"{number}. {_md_text(note)}" for note, number in numbers.items()))
    return "\n\n".join(parts) + "\n"


def _md_table(rows: list[Row], numbers: dict[str, int], *, with_paper: bool) -> str:
    """The published values stand beside ours if `with_paper`; block and model are said once."""
    groups = _groups(rows)
    header = ["trained (M)", *["paper"] * with_paper, "all (M)", *["paper"] * with_paper]
    for name in groups:
        header += [f"{GROUPS[name].title} AP", *["paper", "difference"] * with_paper]
    lines = [
        _md_line(["block", "model", "method", *header, "notes"]),
        _md_line(["---", "---", "---", *["--:"] * len(header), "---"]),
    ]
    previous = ("", "")
    for row in rows:
        place = (row["block"], row["model"])
        shown = ["" if place[0] == previous[0] else BLOCKS[row["block"]], "" if place == previous else row["model"]]
        previous = place
        numbers_shown = []
        for count in ("trained_M", "all_M"):
            numbers_shown += [_millions(row[count]), *[_millions(row[f"paper_{count}"])] * with_paper]
        for name in groups:
            beside = [_number(row[f"{name}_paper"]), _signed(row[f"{name}_difference"])]
            numbers_shown += [_average(row, name), *beside * with_paper]
        lines.append(_md_line([*shown, _method(row), *numbers_shown, _markers(row, numbers)]))
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
    suite, numbers = rows[0]["suite"], _numbered_notes(rows)
    console.print(Text(heading(suite, title), style="bold"))
    console.print()
    for line, style in _terminal_lines(rows, numbers, suite):
        console.print(Text(line, style=style), no_wrap=True, overflow="ignore", crop=False)
    console.print()
    for line in _legend(rows, suite):
        console.print(Text(line, style="dim"))
    for note, number in numbers.items():
        console.print(Text(f"[{number}] {note}"))


def heading(suite: str, title: str | None = None) -> str:
    """`Table 1 · suite: miniature — <title>`: no table leaves without the name of its suite."""
    said = [title] if title else []
    if suite != "paper" and INCOMPARABLE not in (title or ""):
        said.append(INCOMPARABLE)
    return f"Table 1 · suite: {suite}" + (f" — {', '.join(said)}" if said else "")


def _terminal_lines(rows: list[Row], numbers: dict[str, int], suite: str) -> Iterator[tuple[str, str]]:
    """(line, style): column heads, then per block and model a line of its own and one line per method."""
    groups = _groups(rows)
    body = [[f"  {_method(row)}", _millions(row["trained_M"]), _millions(row["all_M"])] for row in rows]
    for name in groups:
        body = [[*cells, column] for cells, column in zip(body, _aligned(rows, name))]
    body = [[*cells, _markers(row, numbers, "{}")] for cells, row in zip(body, rows)]
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
    means = [_average(row, group).replace(" ± ", "±").partition(" ") for row in rows]  # 100 columns are few
    width = max(len(mean) for mean, _, _ in means)
    signs = [_signed(row[f"{group}_difference"]) if row[f"{group}_difference"] else "" for row in rows]
    return [
        f"{mean:>{width}} {rest}".rstrip() + (f" ({sign})" if sign else "")
        for (mean, _, rest), sign in zip(means, signs)
    ]


def _groups(rows: list[Row]) -> list[str]:
    """The groups in which the suite has any dataset."""
    return [name for name in GROUPS if any(row[f"{name}_datasets"] for row in rows)]


def _method(row: Row) -> str:
    return METHODS[row["method"]].label if row["method"] in METHODS else row["method"]


def _average(row: Row, group: str) -> str:
    """`63.8 ± 0.4`, and `(2/13)` behind it where datasets are missing from the average."""
    ap, count, spread = (row[f"{group}_{part}"] for part in ("ap", "datasets", "spread"))
    if not ap:
        return NO_NUMBER
    text = with_interval(float(ap), float(spread) if spread else None)
    return text if _is_whole(count) else f"{text} ({count})"


def _is_whole(count: str) -> bool:
    done, _, expected = count.partition("/")
    return done == expected


def _number(text: str) -> str:
    return rounded(float(text)) if text else NO_NUMBER


def _signed(text: str) -> str:
    if not text:
        return NO_NUMBER
    value = rounded(float(text))
    return value if value.startswith("-") or not value.strip("0.") else f"+{value}"


def _millions(text: str) -> str:
    """Two decimals as in the paper; two digits for a nano model's few thousands."""
    if not text:
        return NO_NUMBER
    value = float(text)
    if value == 0:
        return "0"
    return rounded(value, 2) if value >= 0.1 else f"{value:.2g}"


def _notes(row: Row) -> list[str]:
    return row["notes"].split(NOTE_SEPARATOR) if row["notes"] else []


def _numbered_notes(rows: list[Row]) -> dict[str, int]:
    """{note: number}, numbered as first met; equal notes share a number."""
    notes = dict.fromkeys(note for row in rows for note in _notes(row))
    return {note: number for number, note in enumerate(notes, start=1)}


def _markers(row: Row, numbers: dict[str, int], style: str = "[{}]") -> str:
    return " ".join(style.format(number) for number in sorted(numbers[note] for note in _notes(row)))


def _legend(rows: list[Row], suite: str) -> list[str]:
    """What a reader must know, as far as it occurs in this table."""
    groups = _groups(rows)
    sizes = ", ".join(f"{GROUPS[name].title} {_expected(rows, name)}" for name in groups)
    lines = [
        "AP: COCO box AP at IoU .50:.95 in percent, on the test split, of the weights that were best on validation;"
        f" mean over seeds, then over datasets ({sizes})."
    ]

    def any_cell(test: Callable[[Row, str], bool]) -> bool:
        return any(test(row, name) for row in rows for name in groups)

    if any_cell(lambda row, name: bool(row[f"{name}_spread"])):
        lines.append("±: half width of the 95 % t interval over seeds; it says nothing about other datasets.")
    if any_cell(lambda row, name: bool(row[f"{name}_ap"]) and not _is_whole(row[f"{name}_datasets"])):
        lines.append(
            "(n/N): over n of the N datasets only; compare it with rows over the same datasets. The notes say why."
        )
    if any_cell(lambda row, name: not row[f"{name}_ap"]):
        lines.append(f"{NO_NUMBER}: no number; the notes say why.")
    lines.append("trained, all: parameters in millions, counted as the paper does (256 learnable vectors).")
    if suite == "paper":
        lines.append(
            "Difference from the paper: ours minus the published number, only over the paper's complete group."
        )
    return lines


def _expected(rows: list[Row], group: str) -> str:
    """N of "n/N", the largest where rows differ."""
    return max((row[f"{group}_datasets"].partition("/")[2] for row in rows), key=lambda n: int(n or 0))


def _md_line(cells: list[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _md_text(text: str) -> str:
    """A log line such as `<class 'X'>` would vanish as HTML."""
    return text.replace("<", "\\<")
