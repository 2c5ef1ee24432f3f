"""Figure 4: maps of the class vectors, natural against medical; a supplement with other seeds and neighbourhoods."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np

from cones.outputs.analysis.blending import VectorSet
from cones.outputs.analysis.maps import NEIGHBOURS, pca_map, umap_map
from cones.outputs.analysis.points import MEDICAL, NATURAL, ClassPoints, count_of
from cones.outputs.files import Row
from cones.outputs.labels import vectors_label
from cones.outputs.plotting import INK, LINE, PAGE_WIDTH, THEIRS, printing, save_figure
from cones.outputs.wording import heading

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AS_IN_THE_PAPER = ("zero_shot", "prompt_tuning", "cones")  # panels (a), (b), (c)
CONTROL = "cones_step0"
RED, BLUE = "#cc3311", THEIRS  # as in the paper, in shades that differ for the colour-blind too; markers say it again
MARKS = {"natural": ("o", RED), "non_radiology": ("^", BLUE), "radiology": ("s", BLUE)}
LABELS = {"natural": "natural", "non_radiology": "medical, non-radiology", "radiology": "medical, radiology"}
SEEDS = (0, 1, 2)
MAPS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "PCA": pca_map,
    **{f"UMAP, seed {seed}": lambda v, seed=seed: umap_map(v, seed) for seed in SEEDS[1:]},
    **{f"UMAP, k = {k}": lambda v, k=k: umap_map(v, SEEDS[0], neighbours=k) for k in (5, 30)},
}
HEAD, FOOT, GAP = 0.42, 0.5, 0.14  # inches above and below the panels, and between them


def save_figure4(
    sets: Sequence[VectorSet], numbers: Sequence[Row], png: Path, supplement: Path, *, suite: str, title: str
) -> list[Path]:
    """Write `png` (the paper's three panels for each model), `supplement` (every map of every set) with a `.pdf` each.

    `sets`: one seed of each; `numbers`: the rows of `figure4.csv`, of which two are printed in each panel.
    """
    shown = [vector_set for vector_set in sets if vector_set.vectors in AS_IN_THE_PAPER and len(vector_set.points)]
    drawn = [vector_set for vector_set in sets if len(vector_set.points)]
    with printing():
        figure = main_figure(shown, numbers, heading(suite, title, what="Figure 4"))
        return [*save_figure(figure, png), *save_figure(all_maps(drawn, suite, title), supplement)]


def main_figure(shown: Sequence[VectorSet], numbers: Sequence[Row], title_line: str) -> Figure:
    """A row of panels per model: zero-shot text, prompt tuning, ConES."""
    models = list(dict.fromkeys(vector_set.model for vector_set in shown))
    columns = [name for name in AS_IN_THE_PAPER if any(vector_set.vectors == name for vector_set in shown)]
    numbers_of = {(row["model"], row["vectors"]): row for row in numbers}
    note = (
        f"One point per class. UMAP ({NEIGHBOURS} neighbours, cosine, seed {SEEDS[0]}), each panel fitted alone: only"
        " neighbourhoods mean something, and nothing can be read across panels. mixing: share of neighbours from the"
        " other domain against chance (1 blended, 0 apart); probe: accuracy of a linear classifier of domains (0.5"
        " blended)."
    )
    untrained = [row for row in numbers if row["vectors"] == CONTROL and row["mixing_5"] and row["probe"]]
    if untrained:
        before = ", ".join(f"mixing {float(r['mixing_5']):.2f}, probe {float(r['probe']):.2f}" for r in untrained)
        note += f" Vectors of ConES before any training, which are random: {before}."
    figure, grid, foot = _grid(len(models), max(len(columns), 1), title_line, note, below=0.24)
    for vector_set in shown:
        axes = grid[models.index(vector_set.model)][columns.index(vector_set.vectors)]
        letter = "abc"[AS_IN_THE_PAPER.index(vector_set.vectors)]
        draw_map(axes, vector_set.points, umap_map(vector_set.points.vectors, SEEDS[0]), size=15)
        beside = f", {vector_set.model}" if len(models) > 1 else ""
        axes.set_title(
            f"({letter}) {vectors_label(vector_set.vectors)}{beside}", loc="left", fontsize=8, fontweight="bold", pad=3
        )
        axes.set_xlabel(
            _caption(numbers_of.get((vector_set.model, vector_set.vectors)), vector_set.points),
            fontsize=6.5,
            labelpad=3,
        )
    _legend(figure, {group for vector_set in shown for group in vector_set.points.groups}, foot)
    return figure


def all_maps(drawn: Sequence[VectorSet], suite: str, title: str) -> Figure:
    """Every set of vectors in a row of its own, every map of MAPS in a column."""
    title_line = heading(suite, title, what="Figure 4, supplement")
    note = (
        f"Rows: where the vectors come from; n classes. UMAP with {NEIGHBOURS} neighbours unless a column says k; each"
        " panel is fitted alone. ConES, never trained: random vectors, the control for every pattern above it."
    )
    figure, grid, foot = _grid(max(len(drawn), 1), len(MAPS), title_line, note, below=0.0, left=0.95)
    models = {vector_set.model for vector_set in drawn}
    for axes_of_row, vector_set in zip(grid, drawn):
        name = vectors_label(vector_set.vectors).replace("(stage ", "(stage\N{NO-BREAK SPACE}")
        name += f" {vector_set.model}" * (len(models) > 1)
        row_label = [*wrap(name, 14), f"n = {len(vector_set.points)}"]
        axes_of_row[0].set_ylabel("\n".join(row_label), rotation=0, ha="right", va="center", labelpad=4)
        for axes, make in zip(axes_of_row, MAPS.values()):
            draw_map(axes, vector_set.points, make(vector_set.points.vectors), size=6)
    for axes, name in zip(grid[0], MAPS):
        axes.set_title(name, fontsize=7, pad=3)
    _legend(figure, {group for vector_set in drawn for group in vector_set.points.groups}, foot)
    return figure


def draw_map(axes: Axes, points: ClassPoints, places: np.ndarray, *, size: float) -> None:
    """Draw a mark per class at `places` (P, 2); the fewer medical classes lie on top."""
    for group, (marker, colour) in MARKS.items():
        mine = points.groups == group
        axes.scatter(
            *places[mine].T, size, marker=marker, color=colour, alpha=0.75, linewidths=0.3, edgecolors="white", zorder=2
        )
    axes.margins(0.08)


def _caption(row: Row | None, points: ClassPoints) -> str:
    sizes = f"{count_of(points.domains, NATURAL)} natural + {count_of(points.domains, MEDICAL)} medical classes"
    if row is None or not row["mixing_5"]:
        return sizes
    probe = f", probe {float(row['probe']):.2f}" if row["probe"] else ""
    return f"{sizes}\nmixing {float(row['mixing_5']):.2f}{probe}"


def _grid(
    rows: int, columns: int, title_line: str, note: str, *, below: float, left: float = 0.06
) -> tuple[Figure, list[list[Axes]], float]:
    """(figure, square panels without ticks, where the legend starts); `below` inches under each row for its text."""
    from matplotlib.figure import Figure

    foot = wrap(note, int(PAGE_WIDTH * 19.5))
    head = wrap(title_line, int(PAGE_WIDTH * 14.5))
    side = (PAGE_WIDTH - left - GAP * columns) / columns
    above = HEAD + 0.13 * (len(head) - 1)
    feet = FOOT + 0.115 * len(foot) - 0.2
    height = above + rows * (side + below) + (rows - 1) * (GAP + (0.16 if below else 0)) + feet
    figure = Figure((PAGE_WIDTH, height))
    figure.text(0.01, 1 - 0.06 / height, "\n".join(head), va="top", fontweight="bold", fontsize=7.5)
    figure.text(0.01, 0.04 / height, "\n".join(foot), va="bottom", fontsize=6.5)
    grid = []
    for row in range(rows):
        bottom = height - above - row * (side + below + GAP + (0.16 if below else 0)) - side
        grid.append(
            [
                figure.add_axes(
                    ((left + column * (side + GAP)) / PAGE_WIDTH, bottom / height, side / PAGE_WIDTH, side / height),
                    xticks=[],
                    yticks=[],
                )
                for column in range(columns)
            ]
        )
        for axes in grid[-1]:
            axes.spines[:].set_color(LINE)
    return figure, grid, (0.07 + 0.115 * len(foot)) / height


def _legend(figure: Figure, groups: set[str], bottom: float) -> None:
    from matplotlib.lines import Line2D

    marks = [
        Line2D([], [], linestyle="", marker=marker, color=colour, markersize=4, label=LABELS[group])
        for group, (marker, colour) in MARKS.items()
        if group in groups
    ]
    figure.legend(
        handles=marks,
        loc="lower left",
        bbox_to_anchor=(0, bottom),
        ncols=3,
        frameon=False,
        fontsize=7,
        labelcolor=INK,
        handletextpad=0.1,
        columnspacing=1.2,
        borderaxespad=0.2,
    )
