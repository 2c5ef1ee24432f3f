"""What a detector forgets: AP on other datasets, by their class names, after tuning on one."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean
from typing import TYPE_CHECKING

from cones.outputs.averages import per_dataset
from cones.outputs.files import Row
from cones.outputs.reads.elsewhere import ScoredElsewhere
from cones.outputs.rows import block_of, holes
from cones.outputs.sheet import NOTES, Sheet
from cones.outputs.survey_numbers import label_of
from cones.outputs.wording import BLOCKS, NO_NUMBER, heading, join_notes, markers, number, numbered_notes, signed

if TYPE_CHECKING:
    from pandas import DataFrame

OUTPUT = {
    "name": "forgetting",
    "reads": "elsewhere",
    "grids": ["forgetting"],
    "needs": "targets",
    "title": "What tuning makes a detector forget",
    "about": "After tuning on one dataset: what does the detector still find of the classes of others, named in words?",
}
ZERO_SHOT = "zero_shot"
OWN, OTHERS = "own", "others"
NAMES = ("suite", "block", "model", "dataset", "arm", "method", "carried")
CARRIED = {
    "nothing": "nothing that was trained",
    "prompt": "what its prompt learned",
    "weights": "tuned weights",
    "weights and prompt": "tuned weights, both encoders",
    "": NO_NUMBER,
}
NO_BASE = "no change is given: the grid has no zero-shot score of this model"


def frame(source: ScoredElsewhere, *, suite: str) -> DataFrame:
    """A row per model, dataset that was tuned on, and arm.

    carried              what training changed and the other classes meet (`Elsewhere`)
    own_ap, own_change   on the test images of the dataset itself, and that minus zero-shot's
    <other>_ap, _change  on those of another dataset, by its class names; means over seeds
    others_ap, _change   means over all others; only where each has a number
    """
    import pandas as pd

    others = list(dict.fromkeys(name for known in _known(source).values() for name in known.datasets))
    rows = []
    for (model, dataset), cells in source.cells.groupby(["model", "dataset"], sort=False):
        place = {"suite": suite, "model": model, "dataset": dataset}
        base = _numbers(cells[cells["method"] == ZERO_SHOT], source, others)
        rows += [place | _row(mine, source, others, base) for _, mine in cells.groupby("arm", sort=False)]
    numbers = [f"{name}_{part}" for name in (OWN, OTHERS, *others) for part in ("ap", "change")]
    return pd.DataFrame(rows, columns=[*NAMES, *numbers, "notes"])


def _known(source: ScoredElsewhere) -> dict[tuple, object]:
    return {key: found for key, found in source.others.items() if not isinstance(found, str)}


def _keys(cells: DataFrame) -> list[tuple]:
    return list(zip(cells["model"], cells["dataset"], cells["arm"], cells["seed"]))


def _numbers(cells: DataFrame, source: ScoredElsewhere, others: list[str]) -> dict[str, float]:
    """{own, others or a dataset: mean AP over seeds}, where there is one; `cells` are those of one row."""
    numbers: dict[str, float] = {}
    for aps in per_dataset(cells).values():  # of the one dataset that was tuned on
        numbers[OWN] = aps.mean
    known = _known(source)
    found = [known[key] for key in _keys(cells) if key in known]
    for name in others:
        aps = [one.datasets[name].ap for one in found if name in one.datasets and one.datasets[name].ap is not None]
        if aps:
            numbers[name] = fmean(aps)
    if others and all(name in numbers for name in others):
        numbers[OTHERS] = fmean(numbers[name] for name in others)
    return numbers


def _row(cells: DataFrame, source: ScoredElsewhere, others: list[str], base: Mapping[str, float]) -> dict:
    numbers, known = _numbers(cells, source, others), _known(source)
    found = [known[key] for key in _keys(cells) if key in known]
    row = {"block": block_of(cells), "arm": cells["arm"].iloc[0], "method": cells["method"].iloc[0]}
    row["carried"] = ", ".join(dict.fromkeys(one.carried for one in found if one.carried)) or None
    for name, value in numbers.items():
        row[f"{name}_ap"] = value
        if name in base:
            row[f"{name}_change"] = value - base[name]
    failed = [text for key in _keys(cells) if isinstance(text := source.others.get(key), str)]
    reasons = [f"{name}: {score.reason}" for one in found for name, score in one.datasets.items() if score.reason]
    notes = [*holes(cells), *(f"other datasets: {text}" for text in failed), *reasons]
    return row | {"notes": join_notes([*dict.fromkeys(notes), *([] if base else [NO_BASE])])}


# ---------------------------------------------------------------------------------------------------------- for people


def sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> Sheet:
    """The table for people, made of the rows of the CSV file alone."""
    notes = numbered_notes(rows)
    names = [column.removesuffix("_ap") for column in columns if column.endswith("_ap")]
    body = [
        [
            *(row["model"], row["dataset"], BLOCKS[row["block"]], label_of(row["arm"], row["method"])),
            CARRIED.get(row["carried"], row["carried"]),
            *(text for name in names for text in (number(row[f"{name}_ap"]), signed(row[f"{name}_change"]))),
            markers(row, notes),
        ]
        for row in rows
    ]
    titles = {OWN: "own test images", OTHERS: "others, mean"}
    heads = ["model", "tuned on", "kind", "method", "what other classes meet"]
    heads += [text for name in names for text in (titles.get(name, name), "change")]
    legend = [
        "own test images: of the dataset that was tuned on, as in the other tables. Others: the test images of other"
        " datasets, whose classes are named in words; COCO box AP in percent, mean over seeds.",
        "change: minus what the base model finds there zero-shot; below zero is forgotten.",
        "what other classes meet: vectors of ConES, textual inversion, prompt tuning and residuals belong to the"
        " classes they were trained for; other classes meet what else was tuned. Where that is nothing, the base model"
        " was scored again with the cell's own files, by the method's own texts and rule if it has any.",
    ]
    return Sheet(
        heading(suite, title, what="Forgetting"),
        [*heads, NOTES],
        body,
        legend,
        names=5,
        notes=notes,
        in_section=2,
        ours=frozenset(place for place, row in enumerate(rows) if row["method"].startswith("cones")),
    )
