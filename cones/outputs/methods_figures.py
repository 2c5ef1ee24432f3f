"""The figure of the survey on detectors: AP against what training costs, a line of panels for each model."""

from __future__ import annotations

from pathlib import Path

from cones.outputs.files import Row
from cones.outputs.plotting import PAGE_WIDTH, printing, save_figure
from cones.outputs.survey_figures import draw_costs, number_legend, number_points, numbered, titled
from cones.outputs.wording import is_whole

MEAN = "all_ap"
COSTS = (("trained_values", "values that training changes (0 at the left)"), ("tuning_seconds", "seconds of tuning"))


def save_methods_pareto(rows: list[Row], png: Path, *, suite: str, title: str) -> list[Path]:
    """Mean AP of each method that has every dataset of its model, against trained values and seconds; a method has the
    same number in all panels."""
    import matplotlib.pyplot as plt

    whole = [row for row in rows if row[MEAN] and is_whole(row["all_datasets"])]
    models = list(dict.fromkeys(row["model"] for row in whole)) or [None]
    numbers = numbered([row for row in whole if row["model"] == models[0]], MEAN)
    for row in whole:  # those that the first model does not carry
        numbers.setdefault(row["arm"], len(numbers) + 1)
    with printing():
        size = (PAGE_WIDTH, 2.7 * len(models) + 1.3)
        figure, places = plt.subplots(len(models), 2, figsize=size, sharey="row", squeeze=False, layout="constrained")
        shown = []
        for line, model in zip(places, models):
            shown += draw_costs(line, [row for row in whole if row["model"] == model], MEAN, COSTS)
            line[0].set_ylabel(f"{model}: AP, mean over datasets" if model else "AP, mean over datasets")
        number_legend(figure, whole, numbers, columns=4)
        titled(figure, suite, title, "AP and cost of methods on detectors")
        figure.draw_without_rendering()  # places in pixels are known from here on
        for axes, points in shown:
            number_points(axes, points, numbers)
        written = save_figure(figure, png)
        plt.close(figure)
    return written
