"""The figure of AP by method: one panel, and all panels for print (PNG and PDF)."""

from __future__ import annotations

from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

from cones.evaluation.seeds import over_seeds
from cones.outputs.plotting import COLUMN, INK, LINE, OURS, PAGE_WIDTH, THEIRS, UNTUNED, printing, save_figure
from cones.outputs.reference import GROUPS
from cones.outputs.report.panels import Method, Panel, highest, what_marks_mean
from cones.outputs.wording import heading, is_whole, method_label, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FAMILIES = {"zero_shot": UNTUNED, "cones": OURS, "cones_finetuned": OURS}
BAND = 0.66  # of a row's height is for its datasets
ROW, HEAD, FOOT = 0.27, 0.4, 0.38  # inches: a method, what stands above and below a panel's methods


# ----------------------------------------------------------------------------------------------------------- drawing


def draw_panel(axes: Axes, panel: Panel, end: float, *, with_names: bool) -> None:
    """Draw one panel: methods from top to bottom, AP from left to right.

    Datasets are in the paper's order within a method's line.
    """
    for place, method in enumerate(panel.methods):
        _draw_method(axes, place, method, panel)
    axes.set_xlim(-0.02 * end, end)
    axes.set_ylim(len(panel.methods) - 0.5, -0.5)
    axes.set_yticks(range(len(panel.methods)), [method_label(method.row) for method in panel.methods])
    axes.tick_params(axis="y", length=0, labelleft=with_names, pad=3)
    axes.tick_params(axis="x", length=2, pad=2)
    for text, method in zip(axes.get_yticklabels(), panel.methods):
        text.set_color(_colour(method))
    axes.grid(axis="x", color=LINE, linewidth=0.5)
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.locator_params(axis="x", nbins=5)
    axes.set_title(GROUPS[panel.group].title, loc="left", fontsize=8, fontweight="bold", pad=14)
    axes.annotate(panel.size, (0, 1), (0, 5), xycoords="axes fraction", textcoords="offset points", fontsize=6.5)
    axes.set_xlabel("AP (COCO box, %)", labelpad=2)


def _draw_method(axes: Axes, place: int, method: Method, panel: Panel) -> None:
    colour, count = _colour(method), len(panel.datasets)
    size = 14 if count <= 5 else 8
    for position, dataset in enumerate(panel.datasets):
        if aps := method.aps.get(dataset):
            height = place + ((position + 0.5) / count - 0.5) * BAND
            axes.plot([min(aps), max(aps)], [height, height], color=colour, alpha=0.45, linewidth=0.8, clip_on=False)
            mean = over_seeds(aps).mean
            axes.scatter([mean], [height], size, color=colour, alpha=0.6, linewidths=0, clip_on=False, zorder=3)
    mean_text, spread, done = (method.row[f"{panel.group}_{part}"] for part in ("ap", "spread", "datasets"))
    beside = {"xycoords": ("axes fraction", "data"), "textcoords": "offset points", "va": "center"}
    axes.annotate(number(mean_text), (1, place), (4, 0), **beside)
    if not is_whole(done):
        axes.annotate(done, (1, place), (4, -7), fontsize=5.5, **beside)
    if (published := panel.published(method)) is not None:
        axes.scatter([published], [place], 16, marker="D", facecolors="none", edgecolors=INK, linewidths=0.8)
    if not mean_text or count == 1:  # one dataset is its own mean
        return
    mean = float(mean_text)
    if spread:
        low, high = max(mean - float(spread), 0), mean + float(spread)
        axes.plot([low, high], [place, place], color=INK, linewidth=1, solid_capstyle="butt", zorder=4)
    axes.plot([mean, mean], [place - 0.36, place + 0.36], color=INK, linewidth=1.6, solid_capstyle="butt", zorder=5)


def _colour(method: Method) -> str:
    return FAMILIES.get(method.row["method"], THEIRS)


def panel_height(panel: Panel) -> float:
    return HEAD + FOOT + ROW * len(panel.methods)


def place_panel(axes: Axes, figure: Figure, *, left: float, right: float, top: float, panel: Panel) -> None:
    """Put the axes between `left` and `right`, its title's upper edge at `top`; inches from the upper left corner."""
    width, height = figure.get_size_inches()
    rows = ROW * len(panel.methods)
    axes.set_position((left / width, 1 - (top + HEAD + rows) / height, (right - left) / width, rows / height))


# ------------------------------------------------------------------------------------------------------------ for print


def save_methods_figure(shown: list[Panel], png: Path, *, suite: str, title: str) -> list[Path]:
    """Write `png` (300 dpi) and a `.pdf` beside it: a row of panels per model, as wide as one or two columns."""
    with printing():
        return save_figure(methods_figure(shown, heading(suite, title, what="AP by method")), png)


def methods_figure(shown: list[Panel], title_line: str) -> Figure:
    """All panels with `title_line` above them: models from top to bottom, groups from left to right."""
    from matplotlib.figure import Figure

    models = list(dict.fromkeys(panel.model for panel in shown))
    groups = [group for group in GROUPS if any(panel.group == group for panel in shown)]
    width = PAGE_WIDTH if len(groups) > 1 else COLUMN
    head = wrap(title_line, int(width * 14.5))
    foot = wrap(what_marks_mean(shown) if shown else "No cell has a number yet.", int(width * 19.5))
    above = 0.08 + 0.145 * len(head)
    rows = [max(panel_height(panel) for panel in shown if panel.model == model) for model in models]
    labels = 0.16 * (len(models) > 1)  # the model's name above its row
    figure = Figure((width, above + sum(rows) + labels * len(rows) + 0.06 + 0.13 * len(foot)))
    total = figure.get_size_inches()[1]
    figure.text(0.01, 1 - 0.06 / total, "\n".join(head), va="top", fontweight="bold", fontsize=7.5)
    figure.text(0.01, 0.04 / total, "\n".join(foot), va="bottom", fontsize=6.5)
    names, gap = 1.12, 0.42
    panel_width = (width - names - gap * len(groups)) / max(len(groups), 1)
    for model, top in zip(models, (above + sum(rows[:n]) + labels * (n + 1) for n in range(len(rows)))):
        if labels:
            figure.text(0.01, 1 - (top + 0.02) / total, model, va="bottom", fontweight="bold", fontsize=8)
        for panel in (panel for panel in shown if panel.model == model):
            column = groups.index(panel.group)
            left = names + column * (panel_width + gap)
            axes = figure.add_axes((0, 0, 1, 1))
            place_panel(axes, figure, left=left, right=left + panel_width, top=top, panel=panel)
            is_first = not any(p.model == model and groups.index(p.group) < column for p in shown)
            draw_panel(axes, panel, highest(shown), with_names=is_first)
    return figure
