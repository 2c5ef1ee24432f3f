"""The figure of the survey on detectors: AP against what training costs, a line of panels for each model."""

from __future__ import annotations

from pathlib import Path

from cones.outputs.files import Row
from cones.outputs.survey_figures import numbered, save_costs
from cones.outputs.wording import is_whole

MEAN = "all_ap"
COSTS = (("trained_values", "values that training changes (0 at the left)"), ("tuning_seconds", "seconds of tuning"))


def save_methods_pareto(rows: list[Row], png: Path, *, suite: str, title: str) -> list[Path]:
    """Mean AP of each method that has every dataset of its model, against trained values and seconds; a method has the
    same number in all panels."""
    whole = [row for row in rows if row[MEAN] and is_whole(row["all_datasets"])]
    models = list(dict.fromkeys(row["model"] for row in whole))
    name = "AP, mean over datasets"
    lines = {f"{model}: {name}": [row for row in whole if row["model"] == model] for model in models} or {name: []}
    numbers = numbered([row for row in whole if row["model"] == models[0]], MEAN)
    for row in whole:  # those that the first model does not carry
        numbers.setdefault(row["arm"], len(numbers) + 1)
    words = {"suite": suite, "title": title, "what": "AP and cost of methods on detectors"}
    return save_costs(lines, MEAN, COSTS, png, numbers=numbers, **words)
