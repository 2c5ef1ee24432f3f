"""Differences between the survey's methods on detectors, with what the choice of test images makes of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from cones.outputs.files import Row
from cones.outputs.methods_rows import champion
from cones.outputs.reads.detections import DRAWS, DrawnImages
from cones.outputs.reference import GROUPS
from cones.outputs.rows import block_of, holes
from cones.outputs.sheet import NOTES, Sheet
from cones.outputs.survey_numbers import label_of
from cones.outputs.wording import BLOCKS, NO_NUMBER, heading, join_notes, markers, numbered_notes, signed

if TYPE_CHECKING:
    import numpy as np
    from pandas import DataFrame

OUTPUT = {
    "name": "methods_differences",
    "reads": "detections",
    "grids": ["methods"],
    "also": ["methods_modern", "methods_masks"],
    "title": "Differences between methods on detectors",
    "about": "Would the difference be there on other test pictures of the same kind?",
}
ALL, ZERO_SHOT = "all", "zero_shot"
PARTS = ("difference", "low", "high", "datasets")


def frame(source: DrawnImages, *, suite: str) -> DataFrame:
    """A row per model, arm, and the arm that it is compared with: `against` is zero-shot, or ConES (its stage 2 if the
    arm trains the image encoder).

    all_difference, <group>_difference  AP of the arm minus that of the other: means over seeds, then over the datasets
                                        that both have
    …_low, …_high                       95 % percentile interval over draws of the test images, the same for both; each
                                        dataset is drawn by itself
    …_datasets                          of how many datasets ("5/6")
    """
    import pandas as pd

    cells, rows = source.cells, []
    groups = [name for name in GROUPS if name in set(cells["group"])]
    for model, of_model in cells.groupby("model", sort=False):
        arms = dict.fromkeys(of_model["arm"])
        for arm, mine in of_model.groupby("arm", sort=False):
            others = dict.fromkeys([ZERO_SHOT, champion(mine["method"].iloc[0], arms)])
            for other in (name for name in others if name in arms and name != arm):
                theirs = of_model[of_model["arm"] == other]
                rows.append({"suite": suite} | _row(source, model, mine, theirs, groups))
    columns = ["suite", "block", "model", "arm", "method", "against"]
    columns += [f"{name}_{part}" for name in (ALL, *groups) for part in PARTS]
    return pd.DataFrame(rows, columns=[*columns, "notes"])


def _row(source: DrawnImages, model: str, mine: DataFrame, theirs: DataFrame, groups: list[str]) -> dict:
    """Of the cells of an arm, and of the one that it is compared with."""
    arm, other = mine["arm"].iloc[0], theirs["arm"].iloc[0]
    row = {"block": block_of(mine), "model": model, "arm": arm, "method": mine["method"].iloc[0], "against": other}
    for name in (ALL, *groups):
        datasets = (mine if name == ALL else mine[mine["group"] == name])["dataset"].unique()
        row |= {f"{name}_{part}": value for part, value in _difference(source, model, (arm, other), datasets)}
    notes = [*_missing(source, model, mine), *(f"{other}: {why}" for why in _missing(source, model, theirs))]
    return row | {"notes": join_notes(notes)}


def _missing(source: DrawnImages, model: str, cells: DataFrame) -> list[str]:
    """Why cells of a row have no numbers."""
    keys = zip(cells["dataset"], cells["arm"], cells["seed"])
    unread = ((dataset, source.unread.get((model, dataset, arm, int(seed)))) for dataset, arm, seed in keys)
    return [*holes(cells), *(f"{dataset}: {reason}" for dataset, reason in unread if reason)]


def _difference(source: DrawnImages, model: str, arms: tuple[str, str], datasets: Iterable[str]) -> list[tuple]:
    """(part, value) of a mean over datasets; the datasets alone where none has both arms."""
    import numpy as np

    from cones.evaluation.bootstrap import ENDS

    found, asked = [], list(datasets)
    for dataset in asked:
        mine, theirs = (_over_seeds(source, model, dataset, arm) for arm in arms)
        if mine is not None and theirs is not None:
            found.append(mine - theirs)
    numbers: list[tuple] = [("datasets", f"{len(found)}/{len(asked)}")]
    if found:
        mean = np.mean(found, axis=0)
        low, high = np.nanquantile(mean[1:], ENDS)
        numbers += [("difference", mean[0]), ("low", low), ("high", high)]
    return numbers


def _over_seeds(source: DrawnImages, model: str, dataset: str, arm: str) -> np.ndarray | None:
    """(1 + draws,): the mean over the seeds of a cell; None without any."""
    import numpy as np

    found = [aps for (*key, _), aps in source.aps.items() if key == [model, dataset, arm]]
    return np.mean(found, axis=0) if found else None


# ---------------------------------------------------------------------------------------------------------- for people


def sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> list[Sheet]:
    """A table for each model and each arm that others are compared with, zero-shot first."""
    models = list(dict.fromkeys(row["model"] for row in rows))
    pairs = dict.fromkeys((row["model"], row["against"]) for row in rows)
    pairs = sorted(pairs, key=lambda pair: (models.index(pair[0]), pair[1] != ZERO_SHOT))
    return [_of_pair(columns, rows, suite, title, pair) for pair in pairs or [None]]


def _of_pair(columns: list[str], rows: list[Row], suite: str, title: str | None, pair: tuple | None) -> Sheet:
    own = [row for row in rows if (row["model"], row["against"]) == pair]
    names = [column.removesuffix("_difference") for column in columns if column.endswith("_difference")]
    names = [name for name in names if any(row[f"{name}_difference"] for row in own)]
    notes = numbered_notes(own)
    body = [
        [
            BLOCKS[row["block"]],
            label_of(row["arm"], row["method"]),
            *(_text(row, name) for name in names),
            markers(row, notes),
        ]
        for row in own
    ]
    legend = [
        "box AP of the method minus that of the other, mean over datasets. In brackets: 95 % interval over"
        f" {DRAWS} draws of the test images, the same for both; it knows nothing of training seeds.",
        "noise: the interval contains 0. No correction for the number of rows: of twenty comparisons of equal methods"
        " one is beyond its interval by chance.",
        "(1/2): of one of two datasets; the other has no number of one of the two.",
    ]
    heads = ["kind", "method", *("mean" if name == ALL else GROUPS[name].title for name in names), NOTES]
    model, against = pair or ("", "")
    what = (
        f"Differences on detectors: {model}, minus {label_of(against, against)}" if pair else "Differences on detectors"
    )
    return Sheet(
        heading(suite, title, what=what),
        heads,
        body,
        legend if own else [],
        names=2,
        notes=notes,
        ours=frozenset(place for place, row in enumerate(own) if row["method"].startswith("cones")),
    )


def _text(row: Row, name: str) -> str:
    if not row[f"{name}_difference"]:
        return NO_NUMBER
    low, high = (float(row[f"{name}_{end}"]) for end in ("low", "high"))
    found = f"{signed(row[f'{name}_difference'])} ({low:.1f} to {high:.1f})"
    have, asked = row[f"{name}_datasets"].split("/")
    return ("noise: " if low <= 0 <= high else "") + found + ("" if have == asked else f" ({have}/{asked})")
