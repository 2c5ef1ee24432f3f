"""Figure 5: the boxes of one natural and one medical class, and where text and ConES put that class among them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np
import torch

from cones.outputs.analysis.embeddings import BoxVectors, Embeddings
from cones.outputs.analysis.gap import measures
from cones.outputs.analysis.maps import NEIGHBOURS, pca_map, umap_map
from cones.outputs.analysis.names import FPN, FUSED, Place
from cones.outputs.analysis.points import DOMAINS, MEDICAL, NATURAL
from cones.outputs.figure4_maps import BLUE, RED
from cones.outputs.plotting import LINE, PAGE_WIDTH, printing, save_figure
from cones.outputs.wording import heading

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cones.data.registry import Dataset

TEXT, CONCEPT = "zero_shot", "cones"
GREEN = "#009e73"  # bluish green of Okabe and Ito; shapes tell the three apart as well
LIGHT_RED = "#e6a08f"
COLUMNS = (
    ("PCA, before fusion", FPN, pca_map),
    ("PCA, fused", FUSED, pca_map),
    ("UMAP, fused", FUSED, lambda v: umap_map(v, 0, metric="euclidean")),
)
HEAD, TITLE, FOOT, GAP = 0.42, 0.5, 0.66, 0.16  # inches


@dataclass(frozen=True)
class ClassAmongBoxes:
    """One class of one dataset and model: its boxes fused with class names and with ConES, by source.

    `dataset` is the paper's name of it.
    """

    model: str
    dataset: str
    name: str
    text: dict[str, BoxVectors]
    concept: dict[str, BoxVectors]


def save_figure5(
    embeddings: Mapping[Place, Embeddings], registry: Mapping[str, Dataset], png: Path, *, suite: str, title: str
) -> list[Path]:
    """Draw the class with most boxes of the first natural and the first medical dataset of each model, a row each."""
    with printing():
        figure = figure5(chosen_classes(embeddings, registry), heading(suite, title, what="Figure 5"))
        return save_figure(figure, png)


def chosen_classes(embeddings: Mapping[Place, Embeddings], registry: Mapping[str, Dataset]) -> list[ClassAmongBoxes]:
    chosen = []
    for model in dict.fromkeys(place.model for place in embeddings):
        for domain in (NATURAL, MEDICAL):
            for place in embeddings:
                if place.model != model or place.method != TEXT or DOMAINS.get(registry[place.dataset].group) != domain:
                    continue
                text, concept = embeddings[place], embeddings.get(place._replace(method=CONCEPT))
                if concept and FUSED in text.boxes and FUSED in concept.boxes and len(text.labels):
                    chosen.append(_largest_class(place, text, concept, registry[place.dataset]))
                    break
    return chosen


def _largest_class(place: Place, text: Embeddings, concept: Embeddings, dataset: Dataset) -> ClassAmongBoxes:
    """The class with most boxes; of classes with equally many the first."""
    labels = text.labels
    largest = max(labels.unique().tolist(), key=lambda label: int((labels == label).sum()))

    def of_class(embeddings: Embeddings) -> dict[str, BoxVectors]:
        mine = embeddings.labels == largest
        return {
            name: BoxVectors(*(tensor[mine] for tensor in vars(b).values())) for name, b in embeddings.boxes.items()
        }

    return ClassAmongBoxes(place.model, dataset.paper_name, dataset.classes[largest], of_class(text), of_class(concept))


def figure5(chosen: list[ClassAmongBoxes], title_line: str) -> Figure:
    """A row per class, a column per entry of COLUMNS; each panel is fitted on the boxes and on both class vectors."""
    from matplotlib.figure import Figure

    note = (
        "Before fusion the boxes are the same for every method; fused, the image has heard the prompt, so that boxes"
        " and classes differ between text (pale) and ConES (red), and a class has a vector per image: the large mark"
        f" is their mean. Each panel is fitted alone, on all vectors in it (UMAP: {NEIGHBOURS} neighbours, Euclidean,"
        " seed 0). Maps distort distances: the numbers are of the original space. D_l2: mean distance of boxes v from"
        " their class u; D_cos: mean of one minus their cosine; |v|, |u|: mean lengths."
    )
    head, foot = wrap(title_line, int(PAGE_WIDTH * 14.5)), wrap(note, int(PAGE_WIDTH * 19.5))
    side = (PAGE_WIDTH - 0.1 - GAP * (len(COLUMNS) - 1)) / len(COLUMNS)
    row_height = TITLE + side * 0.8 + 0.3
    above, below = 0.1 + 0.14 * len(head), 0.28 + 0.115 * len(foot)
    figure = Figure((PAGE_WIDTH, above + row_height * max(len(chosen), 1) + below))
    height = figure.get_size_inches()[1]
    figure.text(0.01, 1 - 0.06 / height, "\n".join(head), va="top", fontweight="bold", fontsize=7.5)
    figure.text(0.01, 0.04 / height, "\n".join(foot), va="bottom", fontsize=6.5)
    models = {shown.model for shown in chosen}
    for row, shown in enumerate(chosen):
        top = height - above - row * row_height - TITLE
        beside = f" · {shown.model}" if len(models) > 1 else ""
        count = len(shown.text[FUSED].visual)
        name = f"({'abcdefgh'[row % 8]}) {shown.name}, {shown.dataset}{beside}, {count} box{'es' * (count != 1)}"
        figure.text(0.01, (top + 0.31) / height, name, fontsize=8, fontweight="bold")
        for column, (map_title, source, make) in enumerate(COLUMNS):
            place = (0.05 + column * (side + GAP), top - side * 0.8, side, side * 0.8)
            axes = figure.add_axes(
                (place[0] / PAGE_WIDTH, place[1] / height, side / PAGE_WIDTH, place[3] / height), xticks=[], yticks=[]
            )
            axes.spines[:].set_color(LINE)
            axes.set_title(map_title, fontsize=7, pad=3)
            draw_class(axes, shown, source, make)
            axes.set_xlabel(_distances(shown, source), fontsize=6, labelpad=3)
    _legend(figure, (0.05 + 0.115 * len(foot)) / height)
    return figure


def draw_class(axes: Axes, class_boxes: ClassAmongBoxes, source: str, make) -> None:
    """Draw boxes as dots, the class vector of text as a blue square and that of ConES as a green triangle."""
    text, concept = class_boxes.text[source], class_boxes.concept[source]
    boxes = [concept.visual] if source == FPN else [concept.visual, text.visual]
    classes = [vectors.own_class[: 1 if source == FPN else None] for vectors in (concept, text)]
    means = [vectors.mean(dim=0, keepdim=True) for vectors in classes]
    parts = [part.double().numpy() for part in (*boxes, *classes, *means)]
    cut = np.split(make(np.concatenate(parts)), np.cumsum([len(part) for part in parts])[:-1])
    for mine, colour in zip(cut[: len(boxes)], (RED, LIGHT_RED)):
        axes.scatter(*mine.T, 7, color=colour, alpha=0.8, linewidths=0, zorder=2)
    looks = ((GREEN, "^", 26, 5), (BLUE, "s", 48, 4))  # the triangle on top: before fusion the two all but coincide
    for mine, mean, (colour, marker, size, height) in zip(cut[-4:-2], cut[-2:], looks):
        axes.scatter(*mine.T, 6, color=colour, alpha=0.5, linewidths=0, marker=marker, zorder=3)
        axes.scatter(*mean.T, size, color=colour, marker=marker, edgecolors="white", linewidths=0.6, zorder=height)
    axes.margins(0.1)


def _distances(class_boxes: ClassAmongBoxes, source: str) -> str:
    lines = []
    for name, boxes in (("ConES", class_boxes.concept[source]), ("text", class_boxes.text[source])):
        numbers = measures(boxes, torch.zeros(len(boxes.visual), dtype=torch.long))
        lengths = f"|v| {_digits(numbers['norm_visual'])}, |u| {_digits(numbers['norm_class'])}"
        lines.append(f"{name}: D_l2 {_digits(numbers['d_l2'])}, D_cos {_digits(numbers['d_cos'])}, {lengths}")
    return "\n".join(lines)


def _digits(value: float) -> str:
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def _legend(figure: Figure, bottom: float) -> None:
    from matplotlib.lines import Line2D

    marks = (
        ("o", RED, "boxes v, heard with ConES"),
        ("o", LIGHT_RED, "boxes v, heard with text"),
        ("^", GREEN, "class u, ConES"),
        ("s", BLUE, "class u, text (zero-shot)"),
    )
    handles = [Line2D([], [], linestyle="", marker=m, color=c, markersize=4, label=label) for m, c, label in marks]
    place = {"loc": "lower left", "bbox_to_anchor": (0, bottom), "borderaxespad": 0.2}
    figure.legend(handles=handles, ncols=4, frameon=False, fontsize=7, handletextpad=0.1, columnspacing=1.2, **place)
