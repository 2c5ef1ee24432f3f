"""Table 9 of the paper: deep fusion and pretraining data, by models that differ in nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cones.models.glip.config import SIZES
from cones.outputs.averages import per_dataset, seeds_behind
from cones.outputs.files import Row
from cones.outputs.reference import Reference, paper, stands_beside
from cones.outputs.rows import holes
from cones.outputs.sheet import NOTES, Sheet
from cones.outputs.wording import AP_MEANS, ap, heading, join_notes, markers, number, numbered_notes, signed, signs
from cones.runtime.artifacts import read_json
from cones.weights.shipped import shipped

if TYPE_CHECKING:
    from pandas import DataFrame

OUTPUT = {
    "name": "table9",
    "reads": "scores",
    "grids": ["table9"],
    "title": "Table 9: deep fusion and pretraining data",
    "about": "The same model without deep fusion, and pretrained on less.",
}
TUNED, UNTUNED = "cones", "zero_shot"
BESIDE = ("paper", "difference")  # where the paper `stands_beside`


def frame(cells: DataFrame, *, suite: str, reference: Reference | None = None) -> DataFrame:
    """One row per model, in the order of the suite; `cells` as `collect_cells` makes them.

    `<dataset>_ap`, `_spread`: ConES, mean and half width of the 95 % t interval over seeds; `<dataset>_zero_shot_ap`,
    `_spread`: the same model untuned. Where the paper `stands_beside`, the published value of ConES and ours minus it.
    """
    import pandas as pd

    reference = reference or paper()
    cells = cells[cells["arm"].isin([TUNED, UNTUNED])]
    datasets = list(dict.fromkeys(cells["dataset"]))
    rows = []
    for model, mine in cells.groupby("model", sort=False):
        row: dict = {"suite": suite, "model": model, **_pretraining(mine, reference)}
        for arm, part in ((TUNED, ""), (UNTUNED, "_zero_shot")):
            for dataset, aps in per_dataset(mine[mine["arm"] == arm]).items():
                row |= {f"{dataset}{part}_ap": aps.mean, f"{dataset}{part}_spread": aps.half_width}
        if stands_beside(suite):
            row |= _published(row, datasets, reference)
        rows.append({**row, "seeds": seeds_behind(mine), "notes": join_notes(_holes(mine))})
    if stands_beside(suite) and rows:
        rows[-1]["notes"] = join_notes([*filter(None, [rows[-1]["notes"]]), *reference.notes("table9")])
    return pd.DataFrame(rows, columns=_columns(datasets, suite))


def _holes(cells: DataFrame) -> list[str]:
    return [
        f"{'ConES' if arm == TUNED else 'zero-shot'}: {note}"
        for arm in (TUNED, UNTUNED)
        for note in holes(cells[cells["arm"] == arm])
    ]


def _columns(datasets: list[str], suite: str) -> list[str]:
    dataset_columns = [
        f"{dataset}_{part}"
        for dataset in datasets
        for part in ("ap", "spread", *(BESIDE if stands_beside(suite) else ()), "zero_shot_ap", "zero_shot_spread")
    ]
    return ["suite", "model", "deep_fusion", "pretraining", *dataset_columns, "seeds", "notes"]


def _pretraining(cells: DataFrame, reference: Reference) -> dict:
    """Whether the model has deep fusion, and its pretraining data; `cells` are those of one model."""
    model, seed = cells["model"].iloc[0], cells["initial_seed"].dropna()
    published = reference.rows("table9", checkpoint=model)
    if len(seed):
        seen = f"nothing: random weights of seed {seed.iloc[0]}"
    elif published:
        seen = ", ".join(published[0]["pretrain_data"])
    elif files := shipped(model):
        recipe = read_json(files[1])["recipe"]
        seen = f"{recipe['images']:,} drawn scenes, {recipe['sentences']:.0%} with a sentence"
    else:
        seen = None
    fusion = {True: "yes", False: "no"}[SIZES[model].deep_fusion] if model in SIZES else None
    return {"deep_fusion": fusion, "pretraining": seen}


def _published(row: dict, datasets: list[str], reference: Reference) -> dict:
    published = {}
    for known in reference.rows("table9", checkpoint=row["model"]):
        for dataset in datasets:
            value, ours = known.get(dataset), row.get(f"{dataset}_ap")
            published[f"{dataset}_paper"] = value
            if value is not None and ours is not None:
                published[f"{dataset}_difference"] = ours - value
    return published


def sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> Sheet:
    """The table for people, made of the rows of the CSV file alone."""
    datasets = [column.removesuffix("_zero_shot_ap") for column in columns if column.endswith("_zero_shot_ap")]
    labels = {**paper().labels("table8"), **paper().labels("table10")}
    numbers, beside = numbered_notes(rows), stands_beside(suite)
    heads = ["model", "deep fusion", "pretrained on"]
    for name in datasets:
        label = labels.get(name, name)
        heads += [f"{label}, ConES", *["paper", "difference"] * beside, f"{label}, zero-shot"]
    body = []
    for row in rows:
        line = [row["model"], row["deep_fusion"], row["pretraining"]]
        for name in datasets:
            published = [number(row[f"{name}_paper"]), signed(row[f"{name}_difference"])] if beside else []
            line += [ap(row, name), *published, ap(row, f"{name}_zero_shot")]
        body.append([*line, markers(row, numbers)])
    legend = [
        f"{AP_MEANS}.",
        "Without deep fusion, text meets the image only in the last dot product; that model was trained so.",
        *signs(rows, [column_name for name in datasets for column_name in (name, f"{name}_zero_shot")]),
    ]
    legend += ["difference: ours minus the published number, of ConES."] * beside
    return Sheet(heading(suite, title, what="Table 9"), [*heads, NOTES], body, legend, names=3, notes=numbers)
