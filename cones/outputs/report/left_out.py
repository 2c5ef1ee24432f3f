"""What was left out of the data, changed or shared, as Table 7 counted it: a section of the report."""

from __future__ import annotations

from pathlib import Path

from cones.outputs.files import named, read_csv
from cones.outputs.wording import NOTE_SEPARATOR


def left_out_of(folder: Path, *, partial: bool = False) -> list[tuple[str, list[str]]]:
    """[(dataset, its findings in words)] of a suite's `table7.csv`, only datasets that have any; none without it."""
    path = folder / named("table7.csv", partial)
    if not path.exists():
        return []
    rows = read_csv(path)[1]
    return [(row["dataset"], row["findings"].split(NOTE_SEPARATOR)) for row in rows if row["findings"]]
