"""The survey's figures: accuracy against what training costs, over shots, and on base against new classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from pathlib import Path
from typing import TYPE_CHECKING

from cones.outputs.files import Row
from cones.outputs.plotting import INK, LINE, OURS, PAGE_WIDTH, THEIRS, UNTUNED, printing, save_figure
from cones.outputs.quantities import count, seconds
from cones.outputs.survey_numbers import ALL, label_of, names_in
from cones.outputs.wording import heading, is_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = 3
TOUCHING = (14, 10)  # pixels to the right and up between points whose numbers stand together
COSTS = (("trained_values", "values that training changes (0 at the left)"), ("fit_seconds", "seconds of fitting"))


def colour_of(row: Row) -> str:
    """ConES stands out; what trains nothing is grey."""
    if row["method"].startswith("cones"):
        return OURS
    return UNTUNED if row["method"].startswith("zero_shot") else THEIRS


def save_pareto(rows: list[Row], png: Path, *, suite: str, title: str) -> list[Path]:
    """Mean accuracy of each method against its trained values, and against the seconds of its fit.

    Of methods that have every dataset and the largest number of shots.
    """
    shots = max((int(row["shots"]) for row in rows), default=0)
    whole = [row for row in rows if row[f"{ALL}_accuracy"] and int(row["shots"]) == shots and is_whole(row["datasets"])]
    lines = {"top-1 accuracy, mean over datasets (%)": whole}
    numbers = numbered(whole, f"{ALL}_accuracy")
    words = {"suite": suite, "title": title, "what": f"Accuracy and cost, {shots} shots"}
    return save_costs(lines, f"{ALL}_accuracy", COSTS, png, numbers=numbers, **words)


def save_costs(
    lines: Mapping[str, list[Row]],
    quantity: str,
    costs: Sequence[tuple[str, str]],
    png: Path,
    *,
    numbers: dict[str, int],
    suite: str,
    title: str,
    what: str,
) -> list[Path]:
    """A column of the rows against each cost, as `draw_costs` has them, each arm by its number; `lines` of panels by
    the name of their vertical axis."""
    import matplotlib.pyplot as plt

    with printing():
        size = (PAGE_WIDTH, 2.7 * len(lines) + 1.3)
        figure, places = plt.subplots(
            len(lines), len(costs), figsize=size, sharey="row", squeeze=False, layout="constrained"
        )
        shown = []
        for line, (name, rows) in zip(places, lines.items()):
            shown += draw_costs(line, rows, quantity, costs)
            line[0].set_ylabel(name)
        number_legend(figure, [row for rows in lines.values() for row in rows], numbers, columns=4)
        titled(figure, suite, title, what)
        figure.draw_without_rendering()  # places in pixels are known from here on
        for axes, points in shown:
            number_points(axes, points, numbers)
        written = save_figure(figure, png)
        plt.close(figure)
    return written


def draw_costs(
    places: Iterable[Axes], rows: list[Row], quantity: str, costs: Iterable[tuple[str, str]]
) -> list[tuple[Axes, list[tuple[float, float, Row]]]]:
    """Draw a column of the rows against each cost (column, name of the axis), from nothing on; counts of trained values
    first, then seconds. Returns the points of each place."""
    shown = []
    for axes, (column, name) in zip(places, costs):
        is_count = column == "trained_values"
        points = [(float(row[column]), float(row[quantity]), row) for row in rows if row[column]]
        values = [x for x, _, _ in points if x]
        if is_count or not values or max(values) > 10 * min(values):  # less is not a decade: it would have no ticks
            near_nothing = 10.0 ** floor(log10(min(values, default=1))) if is_count else 0.001  # no empty decades
            axes.set_xscale("symlog", linthresh=near_nothing)
        axes.xaxis.set_major_formatter(lambda value, _, written=count if is_count else seconds: written(value))
        axes.tick_params(axis="x", labelrotation=30)
        draw_points(axes, points)
        shown.append((axes, points))
        if is_count:
            axes.set_xlim(left=-0.6 * near_nothing)  # less than nothing cannot train
        axes.set_xlabel(name)
    return shown


@dataclass(frozen=True)
class Curves:
    """What is drawn over shots: the columns `<shots>_<kind>`, and what axes and figure are called."""

    kind: str = "accuracy"
    axis: str = "top-1 accuracy (%)"
    what: str = "Accuracy over shots"
    shots: str = "labelled images a class"


def save_curves(rows: list[Row], png: Path, *, suite: str, title: str, curves: Curves = Curves()) -> list[Path]:
    """Accuracy over shots: a panel for the mean over datasets and one for each of them."""
    import matplotlib.pyplot as plt

    shots = names_in(list(rows[0]), curves.kind) if rows else []
    datasets = list(dict.fromkeys(row["dataset"] for row in rows)) or [ALL]
    lines = ceil(len(datasets) / COLUMNS)
    with printing():
        figure, places = plt.subplots(
            lines, COLUMNS, figsize=(PAGE_WIDTH, 2.2 * lines + 0.8), squeeze=False, layout="constrained"
        )
        colours = colours_of(rows)
        for axes, dataset in zip(places.flat, datasets):
            for row in (row for row in rows if row["dataset"] == dataset):
                known = [number for number in shots if row[f"{number}_{curves.kind}"]]
                values = [float(row[f"{number}_{curves.kind}"]) for number in known]
                spread = [float(row[f"{number}_spread"] or 0) for number in known]
                axes.errorbar(
                    [int(number) for number in known],
                    values,
                    yerr=spread,
                    color=colours[row["arm"]],
                    linewidth=1.6 if row["method"].startswith("cones") else 0.9,
                    marker="o",
                    markersize=2.5,
                    elinewidth=0.5,
                    label=label_of(row["arm"], row["method"]),
                )
            axes.set_xscale("log", base=2)
            axes.set_xticks([int(number) for number in shots], shots)
            axes.set_xlabel(curves.shots)
            low, high = axes.get_ylim()
            axes.set_ylim(max(low, 0), min(high, 102))
            plain(axes)
            axes.set_title("mean over datasets" if dataset == ALL else dataset, fontsize=7.5, color=INK)
        for axes in list(places.flat)[len(datasets) :]:
            axes.set_axis_off()
        handles, names = places.flat[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside lower center", ncols=4, frameon=False, fontsize=6.5)
        for axes in places[:, 0]:
            axes.set_ylabel(curves.axis)
        titled(figure, suite, title, curves.what)
        written = save_figure(figure, png)
        plt.close(figure)
    return written


def save_base_to_new(rows: list[Row], png: Path, *, suite: str, title: str) -> list[Path]:
    """Accuracy on base against new classes, mean over datasets; methods without new classes stand at the left edge."""
    import matplotlib.pyplot as plt

    mine = [row for row in rows if row["dataset"] == ALL and row["base_accuracy"]]
    both = [row for row in mine if row["new_accuracy"]]
    with printing():
        figure, axes = plt.subplots(figsize=(PAGE_WIDTH * 0.62, 4.0), layout="constrained")
        numbers = numbered(both, "new_accuracy")
        new = [float(row["new_accuracy"]) for row in both]
        if new:  # a narrow range would show noise as distance
            axes.set_xlim(min(new) - 2, max(new) + 2)
        axes.set_ylim(*_room([float(row["base_accuracy"]) for row in mine]))
        points = [(float(row["new_accuracy"]), float(row["base_accuracy"]), row) for row in both]
        draw_points(axes, points)
        number_legend(figure, both, numbers, columns=2)
        if both:
            low, high = axes.get_xlim()
            for row in (row for row in mine if not row["new_accuracy"]):
                axes.plot(low, float(row["base_accuracy"]), ">", color=colour_of(row), markersize=4, clip_on=False)
                place = (low, float(row["base_accuracy"]))
                axes.annotate(
                    f"  {label_of(row['arm'], row['method'])}: no new classes", place, fontsize=5.5, va="center"
                )
            axes.set_xlim(low, high)
        axes.set_xlabel("new classes (%)")
        axes.set_ylabel("base classes (%)")
        titled(figure, suite, title, "Base and new classes", letters=70)
        figure.draw_without_rendering()
        number_points(axes, points, numbers)
        written = save_figure(figure, png)
        plt.close(figure)
    return written


def save_mixtures(rows: list[Row], png: Path, *, suite: str, title: str, what: str) -> list[Path]:
    """Accuracy over the share of tuned weights: a panel for each arm and dataset, a line for each target; 0.5, the
    published share, is marked."""
    import matplotlib.pyplot as plt

    shares = names_in(list(rows[0])) if rows else []
    drawn = [row for row in rows if any(row[f"{share}_accuracy"] for share in shares)]
    panels = list(dict.fromkeys((row["model"], row["dataset"], row["arm"]) for row in drawn)) or [None]
    lines = ceil(len(panels) / 2)
    with printing():
        figure, places = plt.subplots(
            lines, 2, figsize=(PAGE_WIDTH, 2.4 * lines + 0.6), squeeze=False, layout="constrained"
        )
        for axes, panel in zip(places.flat, panels):
            for row in (row for row in drawn if (row["model"], row["dataset"], row["arm"]) == panel):
                known = [share for share in shares if row[f"{share}_accuracy"]]
                is_own = row["target"] == row["dataset"]
                axes.errorbar(
                    [float(share) for share in known],
                    [float(row[f"{share}_accuracy"]) for share in known],
                    yerr=[float(row[f"{share}_spread"] or 0) for share in known],
                    color=INK if is_own else None,
                    linewidth=1.6 if is_own else 0.9,
                    marker="o",
                    markersize=2.5,
                    elinewidth=0.5,
                    label=f"{row['target']}, its own" if is_own else row["target"],
                )
            axes.axvline(0.5, color=LINE, linewidth=0.8, zorder=0)
            axes.set_xlabel("share of tuned weights")
            axes.set_ylabel("top-1 accuracy (%)")
            plain(axes)
            if panel:
                axes.set_title(f"{label_of(panel[2], _method_of(drawn, panel))}, {panel[1]}", fontsize=7.5, color=INK)
                axes.legend(frameon=False, fontsize=6)
        for axes in list(places.flat)[len(panels) :]:
            axes.set_axis_off()
        titled(figure, suite, title, what)
        written = save_figure(figure, png)
        plt.close(figure)
    return written


def _method_of(rows: list[Row], panel: tuple[str, str, str]) -> str:
    return next(row["method"] for row in rows if (row["model"], row["dataset"], row["arm"]) == panel)


def draw_points(axes: Axes, points: list[tuple[float, float, Row]]) -> None:
    for x, y, row in points:
        axes.plot(x, y, "o", color=colour_of(row), markersize=4)
    axes.margins(0.1, 0.1)
    plain(axes)


def number_points(axes: Axes, points: list[tuple[float, float, Row]], numbers: dict[str, int]) -> None:
    """The numbers of points beside them, once the figure is laid out; those of neighbours stand together."""
    groups: list[tuple[float, float, list[int]]] = []  # pixels of the first point, numbers
    for x, y, row in sorted(points, key=lambda point: (point[0], -point[1])):
        right, up = axes.transData.transform((x, y))
        near = (one for one in groups if abs(one[0] - right) < TOUCHING[0] and abs(one[1] - up) < TOUCHING[1])
        if (group := next(near, None)) is None:
            groups.append(group := (right, up, []))
        group[2].append(numbers[row["arm"]])
    for right, up, known in groups:
        place, text = axes.transData.inverted().transform((right, up)), ", ".join(map(str, sorted(known)))
        axes.annotate(text, place, xytext=(4, 3), textcoords="offset points", fontsize=5.5, color=INK)


def _room(values: list[float]) -> tuple[float, float]:
    """The limits of an axis that holds these values with some room."""
    low, high = min(values, default=0.0), max(values, default=100.0)
    return low - 0.08 * (high - low) - 1, high + 0.08 * (high - low) + 1


def numbered(rows: list[Row], column: str) -> dict[str, int]:
    """A number for each arm, the best first."""
    best = sorted(rows, key=lambda row: -float(row[column]))
    return {row["arm"]: number for number, row in enumerate(best, 1)}


def number_legend(figure, rows: list[Row], numbers: dict[str, int], columns: int) -> None:
    """Below the figure: which arm each number is."""
    from matplotlib.lines import Line2D

    ordered = sorted({row["arm"]: row for row in rows}.values(), key=lambda row: numbers[row["arm"]])
    handles = [Line2D([], [], marker="o", linestyle="", color=colour_of(row), markersize=4) for row in ordered]
    names = [f"{numbers[row['arm']]}  {label_of(row['arm'], row['method'])}" for row in ordered]
    figure.legend(handles, names, loc="outside lower center", ncols=columns, frameon=False, fontsize=6)


def plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=LINE, linewidth=0.4)
    axes.set_axisbelow(True)


def colours_of(rows: list[Row]) -> dict[str, object]:
    """A colour for each arm: ConES in its own, the others along a map that is read in grey too."""
    import matplotlib as mpl

    arms = {row["arm"]: row for row in rows}
    others = [arm for arm, row in arms.items() if colour_of(row) == THEIRS]
    shades = mpl.colormaps["viridis"].resampled(max(len(others), 1))
    colours = {arm: colour_of(row) for arm, row in arms.items()}
    return colours | {arm: shades(place) for place, arm in enumerate(others)}


def titled(figure, suite: str, title: str, what: str, letters: int = 110) -> None:
    """What is shown, and of which suite, in lines of so many letters."""
    import textwrap

    figure.suptitle("\n".join(textwrap.wrap(heading(suite, title, what=what), letters)), fontsize=7, color=INK)
