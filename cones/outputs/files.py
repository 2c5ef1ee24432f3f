"""The files of the tables: their names, and how CSV is written and read back as text."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from cones.runtime.errors import ConesError

if TYPE_CHECKING:
    from pandas import DataFrame

DECIMALS = 4
Row = dict[str, str]  # of a CSV file: numbers as text, "" where there is none


def cells_file(grid: str) -> str:
    """One row per cell of a grid, with every score: the tidy source of its tables."""
    return f"{grid}_cells.csv"


def partial_name(name: str) -> str:
    """`table1.csv` -> `table1.partial.csv`: what an unfinished run leaves never looks like a finished table."""
    stem, _, suffix = name.rpartition(".")
    return f"{stem}.partial.{suffix}"


def data_notes_file(csv: Path) -> Path:
    """The file of the notes on the data behind a table: `table1.csv` -> `table1.data.json`."""
    stem, *kinds = csv.name.split(".")
    return csv.with_name(".".join([stem, "data", *kinds[:-1], "json"]))


def named(name: str, partial: bool) -> str:
    return partial_name(name) if partial else name


def to_csv(frame: DataFrame, decimals: int = DECIMALS) -> str:
    """CSV text with at most so many decimals and one kind of line end; what is missing is empty."""
    numbers = frame.select_dtypes("float").columns
    return frame.assign(**{name: frame[name].round(decimals) for name in numbers}).to_csv(
        index=False, lineterminator="\n"
    )


def read_csv(path: str | Path) -> tuple[list[str], list[Row]]:
    """(columns, rows), numbers as text; ConesError if there is no such file or it is not text."""
    try:
        with open(path, newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            return list(reader.fieldnames or ()), list(reader)
    except FileNotFoundError:
        raise ConesError(
            "file is missing", where=path, next_step=f"correct the path, or make it: snakemake --cores all {path}"
        ) from None
    except UnicodeDecodeError as error:
        raise ConesError("not a CSV file", where=path, found=error, next_step="delete it and run again") from None
