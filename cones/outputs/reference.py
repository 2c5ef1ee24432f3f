"""The paper's published numbers (`workflow/reference/paper_tables.yaml`), verbatim, and the remarks on its slips."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from cones.runtime.errors import ConesError, closest
from cones.runtime.strict import read_yaml

PAPER_TABLES = (Path(__file__).parent / "../../workflow/reference/paper_tables.yaml").resolve()

PAPERS_SUITE = "paper"
NAMES = ("block", "model", "method")  # keys of a row that say whose numbers it holds


def stands_beside(suite: str) -> bool:
    """Whether the published numbers stand beside those of a suite: its datasets and models are the paper's."""
    return suite == PAPERS_SUITE


class Group(NamedTuple):
    """A column group of Table 1: its title, its column in the published table, and what the paper averages there."""

    title: str
    column: str
    detail_table: str
    datasets: tuple[str, ...]


GROUPS: dict[str, Group] = {
    "natural": Group(
        "natural",
        "natural_odinw13",
        "table8",
        (
            *("pascal_voc", "aerial_maritime_drone_large", "aquarium", "cottontail_rabbits", "egohands_generic"),
            *("north_america_mushrooms", "packages", "raccoon", "shellfish_openimages", "vehicles_openimages"),
            *("pistols", "pothole", "thermal_dogs_and_people"),
        ),
    ),
    "non_radiology": Group("non-radiology", "nonradiology4", "table10", ("isic2016", "dfuc2020", "bccd", "cpm17")),
    "radiology": Group("radiology", "radiology4", "table10", ("tbx11k", "luna16", "adni_hippocampus", "tn3k")),
}


class Reference:
    """The published tables of one file. Numbers come back as published, slips included; `remarks` lists those."""

    def __init__(self, path: str | Path = PAPER_TABLES):
        self.path = Path(path)
        self.content: dict = read_yaml(path)

    def rows(self, table: str, **wanted: object) -> list[dict]:
        """The rows of `table` ("table1" .. "table10") whose keys have the wanted values; ConesError: unknown table."""
        tables = [name for name in self.content if name.startswith("table")]
        if table not in tables:
            raise ConesError(f'no table "{table}"', where=self.path, next_step=closest(table, tables))
        rows = self.content[table]["rows"]
        return [row for row in rows if all(row.get(key) == value for key, value in wanted.items())]

    def value(self, table: str, model: str | None, method: str, column: str) -> float | None:
        """The published number, or None where the paper has no such row or leaves the place empty.

        `model` is None for tables without models (Table 3). ConesError on a table or column that does not exist.
        """
        columns = {key for row in self.rows(table) for key in row}
        if column not in columns:
            raise ConesError(f'{table} has no column "{column}"', where=self.path, next_step=closest(column, columns))
        wanted = {"method": method} if model is None else {"model": model, "method": method}
        rows = self.rows(table, **wanted)
        return rows[0].get(column) if rows else None

    def labels(self, table: str) -> dict[str, str]:
        """{dataset: the paper's name for it} of a table with columns per dataset, in the paper's order."""
        keys = [key for key in self.rows(table)[0] if key not in NAMES and not key.startswith(("avg_", "params_"))]
        datasets = dict.fromkeys(key.removesuffix("_box").removesuffix("_mask") for key in keys)
        return dict(zip(datasets, self.content[table]["columns"], strict=True))

    def order(self, key: str) -> list[str]:
        """The values of "block", "model" or "method" in the order in which Table 1 first names them."""
        return list(dict.fromkeys(row[key] for row in self.rows("table1")))

    def block(self, method: str) -> str | None:
        """The block of Table 1 ("zero_shot", "peft", "fine_tuning") that holds the method, if any does."""
        rows = self.rows("table1", method=method)
        return rows[0]["block"] if rows else None

    def remarks(self, table: str, model: str, method: str) -> Iterator[tuple[str, str]]:
        """Yield (column, remark) for every known slip of the paper in that row."""
        entries = [*self.content["recomputation"]["mismatches"], *self.content["oddities"]]
        for entry in entries:
            for cell in entry.get("cells", ()):
                if (cell["table"], cell["model"], cell["method"]) == (table, model, method):
                    yield cell["column"], _remark(entry)

    def notes(self, table: str) -> list[str]:
        """Remarks on a published table as a whole."""
        texts = [entry["text"] for entry in self.content["oddities"] if table in entry.get("tables", ())]
        return [f"on the paper's table: {text}" for text in texts]


def _remark(entry: dict) -> str:
    if "text" in entry:
        return f"slip in the paper: {entry['text']}"
    return (
        f"slip in the paper: {entry['where']} is printed as {entry['reported']}, but its "
        f"{entry['recomputed_from']} averages to {entry['recomputed']} ({entry['note']})"
    )


@cache
def paper() -> Reference:
    """The project's copy of the published tables, read once."""
    return Reference()


def paper_value(table: str, model: str | None, method: str, column: str) -> float | None:
    """`Reference.value` of the project's copy: `paper_value("table1", "glip_t", "cones", "radiology4") == 41.3`."""
    return paper().value(table, model, method, column)
