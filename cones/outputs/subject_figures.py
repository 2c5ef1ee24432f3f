"""Figures 3 and 6: subjects row by row, their real pictures beside what each arm draws of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from cones.experiment.cell import Cell, Plan
from cones.models.generator import Subject
from cones.models.generators import TRACKS, Track
from cones.outputs.labels import arm_label
from cones.outputs.plotting import PAGE_WIDTH, printing, save_figure
from cones.outputs.wording import heading as heading_of
from cones.runtime.artifacts import read_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cones.outputs.reads.subjects import Subjects

SIDE = 192  # pixels of a picture on the page
GAP = 6  # white pixels between two of them
MARGIN, BETWEEN, NAME, FOOT = 0.06, 0.1, 0.15, 0.12  # inches
NOTE = (
    "Real pictures are those the subject is learnt from. Equal places in the columns start from equal noise; nothing is"
    " picked: the first pictures are shown. Class name: what the model draws without learning. What the numbers say:"
    " generation.csv."
)
DEGENERATE = " One bare ConES vector adds the same to every place of the picture; it cannot say where."


@dataclass(frozen=True)
class SubjectPictures:
    """A subject and its pictures, column by column; a column without pictures stays empty."""

    name: str
    class_word: str
    columns: tuple[tuple[Path, ...], ...]


def save_figures(subjects: Subjects, files: Mapping[str, Path], *, suite: str, title: str) -> list[Path]:
    """Write Figure 3 (the subjects the suite names, large) and Figure 6 (the others); missing ones have a reason."""
    plan, generation = subjects.plan, subjects.generation
    manifest, seed = plan.manifest(generation.dataset), generation.seeds[0]
    shown = [cell for cell in subjects.cells if cell.arm in generation.shown_arms and cell.seed == seed]
    holes = {cell.subject: cell.reason for cell in shown if cell.status != "done"}
    asked = generation.subjects or sorted(plan.registry[generation.dataset].classes)
    there = [name for name in asked if name not in holes]
    holes |= dict.fromkeys(set(generation.figure3) - set(asked), "not among the subjects of this suite")
    large = generation.figure3 or there[:4]
    heads = ["Real pictures", *(arm_label(arm, generation.method(arm)) for arm in generation.shown_arms)]
    note = NOTE + DEGENERATE * any(map(generation.is_degenerate, generation.shown_arms))
    written = []
    for number, names, pictures, abreast in (
        (3, large, 4 if len(heads) <= 4 else 3, 1),
        (6, [name for name in asked if name not in large], 2, 2),
    ):
        rows = [_row(plan, manifest, subject, seed) for subject in names if subject in there]
        title_line = heading_of(suite, title, what=f"Figure {number}")
        png, below = files[f"figure{number}"], note + _left_out(names, holes)
        written += save_subjects(rows, heads, png, heading=title_line, note=below, pictures=pictures, abreast=abreast)
    return written


def _left_out(subjects: Iterable[str], holes: dict[str, str]) -> str:
    """A sentence for each reason why subjects are not in the figure."""
    by_reason: dict[str, list[str]] = {}
    for subject in subjects:
        if subject in holes:
            by_reason.setdefault(holes[subject], []).append(subject)
    return "".join(f" Not shown: {', '.join(names)} ({reason})." for reason, names in by_reason.items())


def _row(plan: Plan, manifest: dict, name: str, seed: int) -> SubjectPictures:
    generation = plan.generation
    subject = Subject.of_manifest(manifest["generation"], name, plan.data_folder(generation.dataset) / "raw")
    track = next(track for track in TRACKS if track in generation.pictures)
    drawn = (_drawn(plan.subject_cell(name, arm, seed), track) for arm in generation.shown_arms)
    return SubjectPictures(name, subject.class_word, (subject.pictures, *drawn))


def _drawn(cell: Cell, track: Track) -> tuple[Path, ...]:
    """The pictures of the track's first prompt, in their order."""
    folder = cell.folder / "images" / track
    return tuple(folder / file for file in read_json(folder / "prompts.json")[0]["files"])


def save_subjects(
    subjects: Sequence[SubjectPictures],
    heads: Sequence[str],
    png: Path,
    *,
    heading: str,
    note: str,
    pictures: int,
    abreast: int = 1,
) -> list[Path]:
    """Write the figure: `pictures` of each column, `abreast` subjects beside each other."""
    with printing():
        return save_figure(subjects_figure(subjects, heads, heading, note, pictures, abreast), png)


def subjects_figure(
    subjects: Sequence[SubjectPictures], heads: Sequence[str], heading: str, note: str, pictures: int, abreast: int
) -> Figure:
    from matplotlib.figure import Figure

    width = (PAGE_WIDTH - 2 * MARGIN - BETWEEN * (abreast - 1)) / abreast  # inches of one subject
    column = (width - BETWEEN * (len(heads) - 1)) / len(heads)
    picture = column * SIDE / (pictures * SIDE + (pictures - 1) * GAP)
    head, foot = wrap(heading, int(PAGE_WIDTH * 14.5)), wrap(note, int(PAGE_WIDTH * 19.5))
    titles = max(len(_title(text, column)) for text in heads)
    above = 0.12 + 0.14 * len(head) + 0.12 * titles
    row_height = NAME + picture + 0.05
    rows = ceil(len(subjects) / abreast)
    height = above + rows * row_height + FOOT + 0.115 * len(foot)
    figure = Figure((PAGE_WIDTH, height))
    figure.text(0.01, 1 - 0.05 / height, "\n".join(head), va="top", fontweight="bold", fontsize=7.5)
    figure.text(0.01, 0.04 / height, "\n".join(foot), va="bottom", fontsize=6.5)
    for place, subject in enumerate(subjects):
        across, row = divmod(place, rows)
        left = MARGIN + across * (width + BETWEEN)
        top = height - above - row * row_height
        name = subject.name if subject.name == subject.class_word else f"{subject.name} ({subject.class_word})"
        figure.text(left / PAGE_WIDTH, (top - NAME + 0.03) / height, name, fontsize=6.5, va="bottom")
        for number, files in enumerate(subject.columns):
            x = left + number * (column + BETWEEN)
            if row == 0:
                title = "\n".join(_title(heads[number], column))
                figure.text(x / PAGE_WIDTH, (top + 0.05) / height, title, fontsize=7, va="baseline", linespacing=1.05)
            if files:
                at = (x / PAGE_WIDTH, (top - NAME - picture) / height, column / PAGE_WIDTH, picture / height)
                axes = figure.add_axes(at)
                axes.imshow(strip(files[:pictures], pictures), interpolation="nearest", aspect="auto")
                axes.axis("off")
    return figure


def _title(text: str, column: float) -> list[str]:
    return wrap(text, max(int(column * 15), 8)) or [""]


def strip(files: Sequence[Path], places: int) -> np.ndarray:
    """Square crops side by side, (SIDE, places * SIDE + gaps, 3) uint8; small ones are enlarged without smoothing."""
    canvas = np.full((SIDE, places * SIDE + (places - 1) * GAP, 3), 255, np.uint8)
    for place, file in enumerate(files):
        with Image.open(file) as picture:
            upright = ImageOps.exif_transpose(picture).convert("RGB")
        resampling = Image.Resampling.NEAREST if min(upright.size) < SIDE // 2 else Image.Resampling.LANCZOS
        left = place * (SIDE + GAP)
        canvas[:, left : left + SIDE] = np.asarray(ImageOps.fit(upright, (SIDE, SIDE), resampling))
    return canvas
