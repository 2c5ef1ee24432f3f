"""Ranks of the survey's methods over datasets, of those alone that chose nothing on test images."""

from __future__ import annotations

from statistics import fmean
from typing import TYPE_CHECKING

from cones.evaluation.seeds import OverSeeds, over_seeds
from cones.outputs.files import Row
from cones.outputs.ranks import critical_difference, friedman
from cones.outputs.sheet import NOTES, Sheet, blank_repeats
from cones.outputs.survey_numbers import SELECTED_ON_TEST, Arm, arms_of, datasets_of, label_of, records_of
from cones.outputs.wording import NO_NUMBER, heading, join_notes, markers, number, numbered_notes, p_value

if TYPE_CHECKING:
    from pandas import DataFrame

OUTPUT = {
    "name": "survey_ranks",
    "reads": "classification",
    "grids": ["survey"],
    "title": "Ranks of the survey",
    "about": "Which differences between methods are more than noise?",
}
NOISE, LOWER, BEST = "noise", "lower", "best"


def frame(cells: DataFrame, *, suite: str) -> DataFrame:
    """A row per model, number of shots and arm, the best mean rank first.

    mean_rank        over the datasets; only of arms with an accuracy on every dataset that chose nothing on test images
    behind           the best arm's mean accuracy (of these) minus the row's, paired by seed; `behind_spread` is the
                     half width of its 95 % t interval over seeds
    verdict          "noise" where this interval holds 0, or one seed has none; "lower"; or "best"
    """
    import pandas as pd

    records, rows = records_of(cells), []
    for model, shots in dict.fromkeys((record["model"], record["shots"]) for record in records):
        mine = [record for record in records if (record["model"], record["shots"]) == (model, shots)]
        rows += _model_rows({"suite": suite, "model": model, "shots": shots}, arms_of(mine), datasets_of(mine))
    columns = ["suite", "model", "shots", "arm", "method", "datasets", "mean_rank", "critical_difference"]
    columns += ["friedman_p", "mean_accuracy", "behind", "behind_spread", "verdict", "selection", "notes"]
    return pd.DataFrame(rows, columns=columns).astype({"shots": "Int64", "datasets": "Int64"})


def _model_rows(key: dict, arms: list[Arm], datasets: list[str]) -> list[dict]:
    import numpy as np

    left_out = {arm.arm: why for arm in arms if (why := _why_not_ranked(arm, datasets))}
    ranked = [arm for arm in arms if arm.arm not in left_out]
    table = np.array([[fmean(arm.of(dataset).values()) for dataset in datasets] for arm in ranked])
    ranks, p = friedman(table)
    difference = critical_difference(len(ranked), len(datasets))
    means = [_means(arm, datasets) for arm in ranked]
    best = max(range(len(ranked)), key=lambda place: fmean(means[place].values()), default=None)
    rows = []
    for place in sorted(range(len(ranked)), key=lambda place: ranks[place]):
        row = key | {"arm": ranked[place].arm, "method": ranked[place].method, "datasets": len(datasets)}
        row |= {"mean_rank": ranks[place], "critical_difference": difference, "friedman_p": p}
        row |= {"mean_accuracy": fmean(means[place].values()), "selection": ranked[place].words("selection")}
        rows.append(row | _compared(means[best], means[place], is_best=place == best))
    for arm in arms:
        if arm.arm in left_out:
            row = key | {"arm": arm.arm, "method": arm.method, "selection": arm.words("selection")}
            rows.append(row | {"notes": join_notes([f"not ranked: {left_out[arm.arm]}"])})
    return rows


def _why_not_ranked(arm: Arm, datasets: list[str]) -> str | None:
    if SELECTED_ON_TEST in arm.known("selection"):
        return "numbers were chosen on test images, as published"
    missing = [dataset for dataset in datasets if not arm.of(dataset)]
    if missing:
        return f"no accuracy on {', '.join(missing)}"
    return None if _means(arm, datasets) else "no seed is there on every dataset"


def _means(arm: Arm, datasets: list[str]) -> dict[int, float]:
    """{seed: mean over datasets} of the seeds that every dataset has."""
    values = [arm.of(dataset) for dataset in datasets]
    seeds = set.intersection(*map(set, values)) if values else set()
    return {seed: fmean(each[seed] for each in values) for seed in sorted(seeds)}


def _compared(best: dict[int, float], mine: dict[int, float], *, is_best: bool) -> dict:
    """The distance to the best arm over the seeds that both have, and what it means."""
    if is_best:
        return {"behind": 0.0, "behind_spread": None, "verdict": BEST}
    shared = [seed for seed in best if seed in mine]
    if not shared:
        return {"behind": fmean(best.values()) - fmean(mine.values()), "behind_spread": None, "verdict": NOISE}
    distance = over_seeds([best[seed] - mine[seed] for seed in shared])
    verdict = NOISE if is_noise(distance) else LOWER
    return {"behind": distance.mean, "behind_spread": distance.half_width, "verdict": verdict}


def is_noise(distance: OverSeeds) -> bool:
    """Whether a difference may be none: its interval holds 0, or there is one seed alone."""
    return distance.half_width is None or abs(distance.mean) <= distance.half_width


def sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> Sheet:
    """The table for people, made of the rows of the CSV file alone."""
    notes = numbered_notes(rows)
    body = [
        [
            *(row["model"], f"{row['shots']} shot{'s' * (row['shots'] != '1')}", label_of(row["arm"], row["method"])),
            f"{float(row['mean_rank']):.2f}" if row["mean_rank"] else NO_NUMBER,
            *(number(row[name]) for name in ("mean_accuracy", "behind", "behind_spread")),
            row["verdict"] or NO_NUMBER,
            row["selection"],
            markers(row, notes),
        ]
        for row in rows
    ]
    legend = [
        "mean rank: 1 is best; over all datasets, of methods that have each and chose nothing on test images.",
        "behind: mean accuracy of the best method minus the row's, paired by seed; ±: half width of its 95 % t interval"
        " over seeds. noise: the interval holds 0, or there is one seed alone; only seeds are a sample here.",
    ]
    for row in (row for row in rows if row["critical_difference"]):
        legend.append(
            f"{row['model']}, {row['datasets']} datasets: mean ranks further apart than"
            f" {float(row['critical_difference']):.2f} differ at 5 % (Nemenyi); all equal: p"
            f" {p_value(row['friedman_p'])} (Friedman)."
        )
    heads = ["model", "setting", "method", "mean rank", "accuracy", "behind", "±", "verdict", "chosen by", NOTES]
    what, legend = "Ranks of the survey", list(dict.fromkeys(legend))
    return Sheet(heading(suite, title, what=what), heads, blank_repeats(body, 2), legend, names=3, notes=notes)
