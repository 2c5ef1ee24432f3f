"""AP over the number of images a class is tuned on, for the methods that train little."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cones.evaluation.seeds import OverSeeds
from cones.experiment.few_shot import few_shot_arm
from cones.outputs.averages import scored
from cones.outputs.files import Row
from cones.outputs.rows import holes
from cones.outputs.sheet import NOTES, Sheet, blank_repeats
from cones.outputs.survey_numbers import ALL, label_of, mean_over, names_in, over
from cones.outputs.wording import ap, heading, join_notes, markers, numbered_notes

if TYPE_CHECKING:
    from pandas import DataFrame

OUTPUT = {
    "name": "few_shot",
    "reads": "scores",
    "grids": ["few_shot"],
    "needs": "few_shot",
    "title": "AP over shots",
    "about": "How much does each method gain from more labelled images?",
    "figures": ["few_shot"],
}
KIND = "ap"


def frame(cells: DataFrame, *, suite: str) -> DataFrame:
    """A row per model, dataset ("all" is the mean over them) and arm without its number of shots.

    <shots>_ap is the mean over seeds, <shots>_spread the half width of its 95 % t interval; the mean over datasets is
    taken of each seed, and only where every dataset has a number. What is not tuned has the same number at every one.
    """
    import pandas as pd

    shots = sorted(int(count) for count in cells["shots"].dropna().unique())
    datasets, rows = list(dict.fromkeys(cells["dataset"])), []
    named = cells.assign(base=[_base(row.arm, row.shots) for row in cells.itertuples()])
    for model, of_model in named.groupby("model", sort=False):
        for dataset in (ALL, *datasets):
            for arm, mine in of_model.groupby("base", sort=False):
                key = {"suite": suite, "model": model, "dataset": dataset, "arm": arm}
                rows.append(key | _row(mine, dataset, datasets, shots))
    numbers = [f"{count}_{part}" for count in shots for part in (KIND, "spread")]
    return pd.DataFrame(rows, columns=["suite", "model", "dataset", "arm", "method", *numbers, "notes"])


def _base(arm: str, shots: object) -> str:
    """The arm that a few-shot one was made of."""
    import pandas as pd

    return arm if pd.isna(shots) else arm.removesuffix(few_shot_arm("", int(shots)))


def _row(cells: DataFrame, dataset: str, datasets: list[str], shots: list[int]) -> dict:
    row = {"method": cells["method"].iloc[0]}
    for count in shots:
        mine = cells[cells["shots"].isna() | (cells["shots"] == count)]
        done = mine[scored(mine)]
        aps = {name: dict(zip(of["seed"], of["ap"])) for name, of in done.groupby("dataset")}
        if dataset == ALL:
            row |= _columns(count, mean_over(aps) if set(aps) == set(datasets) else None)
        else:
            row |= _columns(count, over(aps.get(dataset, {})))
    own = cells if dataset == ALL else cells[cells["dataset"] == dataset]
    by_shots = own.groupby(own["shots"].astype("object").fillna("all"), sort=False)
    notes = [f"{count} shots: {note}" for count, mine in by_shots for note in holes(mine)]
    return row | {"notes": join_notes(notes)}


def _columns(count: int, aps: OverSeeds | None) -> dict[str, float | None]:
    return {f"{count}_{KIND}": aps and aps.mean, f"{count}_spread": aps and aps.half_width}


def draw(cells: DataFrame, rows: list[Row], files: Mapping[str, Path], *, suite: str, title: str) -> list[Path]:
    from cones.outputs.survey_figures import Curves, save_curves

    curves = Curves(kind=KIND, axis="AP (COCO box, %)", what="AP over shots", shots="images a class")
    return save_curves(rows, files["few_shot"], suite=suite, title=title, curves=curves)


def sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> Sheet:
    """The table for people, made of the rows of the CSV file alone."""
    notes, shots = numbered_notes(rows), names_in(columns, KIND)
    body = [
        [
            row["model"],
            "mean" if row["dataset"] == ALL else row["dataset"],
            label_of(row["arm"], row["method"]),
            *(ap(row, count) for count in shots),
            markers(row, notes),
        ]
        for row in rows
    ]
    legend = [
        "AP: COCO box AP at IoU .50:.95 in percent on all test images, mean over seeds; ±: half width of the 95 % t"
        " interval over seeds. Columns: images a class in train and val, by GLIP's rule, drawn anew for each seed"
        " where the suite says `shot_seed: cell`. A method that is not tuned has the same number everywhere.",
    ]
    heads = ["model", "dataset", "method", *(f"{count} shot{'s' * (count != '1')}" for count in shots), NOTES]
    what = heading(suite, title, what="AP over shots")
    return Sheet(what, heads, blank_repeats(body, 2), legend, names=3, notes=notes)
