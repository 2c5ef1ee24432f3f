"""The files of the tables: their names, and how CSV is written and read back as text."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from cones.errors import ConesError
from cones.tables.wording import Row

if TYPE_CHECKING:
    from pandas import DataFrame

DECIMALS = 4
# grid of a suite -> the tables that `collect` makes of its cells
TABLES_OF: dict[str, tuple[str, ...]] = {
    "table1": ("table1", "table8", "table10", "ranks"),
    "table2": ("table2",),
    "table4": ("table4",),
    "table5": ("table5",),
    "table9": ("table9",),
}
ALL_TABLES = tuple(table for tables in TABLES_OF.values() for table in tables)
METHOD_GRIDS = ("table1", "table2")  # their rows are methods: the report says how these were tuned and what they cost
DATASETS = "table7"  # counts the datasets, of whatever grids
TABLE7 = (f"{DATASETS}.csv", f"{DATASETS}.md")


def cells_file(grid: str) -> str:
    """One row per cell of a grid, with every score: the tidy source of its tables."""
    return f"{grid}_cells.csv"


def files_of(grid: str) -> tuple[str, ...]:
    """What `collect` leaves in the folder of a suite for one of its grids."""
    return (cells_file(grid), *(f"{table}.{kind}" for table in TABLES_OF[grid] for kind in ("csv", "md")))


def partial_name(name: str) -> str:
    """`table1.csv` -> `table1.partial.csv`: what an unfinished run leaves never looks like a finished table."""
    stem, _, suffix = name.rpartition(".")
    return f"{stem}.partial.{suffix}"


def named(name: str, partial: bool) -> str:
    return partial_name(name) if partial else name


def to_csv(frame: DataFrame) -> str:
    """CSV text with at most DECIMALS decimals and one kind of line end; what is missing is empty."""
    numbers = frame.select_dtypes("float").columns
    return frame.assign(**{name: frame[name].round(DECIMALS) for name in numbers}).to_csv(
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
