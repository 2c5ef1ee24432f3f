"""The record of a cell: its row of a `<grid>_cells.csv`, and its `run.json` where it has one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from cones.methods.method import METHODS
from cones.outputs.files import Row, read_csv
from cones.outputs.wording import few_shot_label
from cones.runtime.artifacts import read_json
from cones.runtime.errors import ConesError

Key = TypeVar("Key")


@dataclass(frozen=True)
class Record:
    """One cell; `run` is empty for a cell without `run.json`."""

    row: Row
    run: dict

    @property
    def label(self) -> str:
        """The method as tables print it, or the name of an arm that differs from its method; few-shot cells say so."""
        arm, method = self.row["arm"], self.row["method"]
        return few_shot_label(METHODS[method].label if arm == method and method in METHODS else arm, self.row)

    @property
    def is_done(self) -> bool:
        return self.row["status"] == "done"

    def said(self, *path: str) -> Any:
        """The value that `run.json` has at a path of keys, None where an earlier version did not write it."""
        value: Any = self.run
        for key in path:
            value = value.get(key) if isinstance(value, dict) else None
        return value


def read_records(cells: str | Path, run_file: Callable[[Row], Path], *, partial: bool = False) -> list[Record]:
    """The records of a `<grid>_cells.csv`, in its order; `run_file` gives the path of the `run.json` of a row.

    A cell without one has an empty `run`. A damaged one raises ConesError; with `partial` it counts as missing.
    """
    return [Record(row, _run(run_file(row), partial)) for row in read_csv(cells)[1]]


def _run(path: Path, partial: bool) -> dict:
    if not path.exists():
        return {}
    try:
        content = read_json(path)
        if not isinstance(content, dict):
            raise ConesError("not a run.json", where=path, next_step="delete it and run again")
    except ConesError:
        if partial:
            return {}
        raise
    return content


def grouped(records: Iterable[Record], key: Callable[[Record], Key]) -> Iterator[tuple[Key, list[Record]]]:
    """Yield (value of `key`, its records), values in the order of their first record."""
    groups: dict[Key, list[Record]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    yield from groups.items()
