"""Personalised generation: likeness of the drawn pictures and cost of learning, and Figures 3 and 6 of the paper."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from cones.outputs.files import Row
from cones.outputs.labels import arm_label
from cones.outputs.quantities import count, memory, of_text, seconds
from cones.outputs.sheet import NOTES, Sheet, blank_repeats
from cones.outputs.subject_numbers import cells_table, generation_table, pairs_table
from cones.outputs.wording import NO_NUMBER, heading, markers, numbered_notes

if TYPE_CHECKING:
    from pandas import DataFrame

    from cones.outputs.reads.subjects import Subjects

OUTPUT = {
    "name": "generation",
    "reads": "subjects",
    "grids": ["generation"],
    "title": "Figures 3 and 6: personalised generation",
    "about": "A few pictures of a subject, learnt by each method: is it the same subject again, and at what cost?",
    "figures": ["figure3", "figure6"],
    "further": ["generation_cells.csv", "generation_pairs.csv"],
}

HEADS = [
    *("track", "method", "measured by", "subjects", "fidelity", "ceiling", "margin", "own nearest", "swapped", "text"),
    *(
        "diversity",
        "copies",
        "passes",
        "per pass",
        "learning",
        "to equal loss",
        "values",
        "bytes",
        "parameters in memory",
        "peak memory",
    ),
    NOTES,
]
LEGEND = [
    "fidelity: mean cosine of drawn and real pictures of a subject (CLIP-I, DINO), mean over subjects with its 95 %"
    " bootstrap interval; ceiling: the same of different real pictures. Levels of different measures do not compare.",
    "margin: fidelity minus the likeness to other subjects of the same noun, over the subjects that share one.",
    "own nearest: subjects whose pictures are more like their own real ones than like those of any other subject;"
    " swapped: the same when the next subject's embedding draws instead.",
    "text: cosine with the prompt (CLIP-T), class noun kept; diversity: one minus the cosine of pictures drawn for one"
    " prompt; copies: share as like a real picture as 0.95.",
    "per pass, learning: seconds of forward and backward passes and optimiser steps alone, means over subjects, beside"
    " whatever else ran on the machine; to equal loss: until the loss on the fixed probe set is as low as that with"
    " which textual inversion ended on the same subject, and for how many it gets there.",
    "values and bytes: what is learnt and stored of a subject.",
]


def frame(subjects: Subjects, *, suite: str) -> DataFrame:
    return generation_table(subjects.cells, subjects.generation, subjects.reasons, suite=suite)


def further(subjects: Subjects, *, suite: str) -> dict[str, DataFrame]:
    return {
        "generation_cells.csv": cells_table(subjects.cells, subjects.generation, suite=suite),
        "generation_pairs.csv": pairs_table(subjects.cells, subjects.generation, suite=suite),
    }


def draw(subjects: Subjects, rows: list[Row], files: Mapping[str, Path], *, suite: str, title: str) -> list[Path]:
    """Draw Figures 3 and 6; of an unfinished run nothing."""
    from cones.outputs.subject_figures import save_figures

    return [] if subjects.is_partial else save_figures(subjects, files, suite=suite, title=title)


def sheet(columns: list[str], rows: list[Row], *, suite: str, title: str | None = None) -> Sheet:
    """The table for people, made of the rows of the CSV file alone."""
    notes = numbered_notes(rows)
    body = []
    for row in rows:
        tokens = [f"{count(float(row['tokens']))} vector{'s' * (row['tokens'] != '1')}"] if row["tokens"] else []
        settings = ", ".join([*([row["mode"]] if row["mode"] else []), *tokens])
        name = arm_label(row["arm"], row["method"])
        body.append(
            [
                *(row["track"], f"{name} ({settings})" if settings else name),
                *(row["extractor"] or NO_NUMBER, row["subjects"] or NO_NUMBER),
                *(_interval(row, "fidelity"), _number(row["real_real"]), _interval(row, "margin")),
                *(row["own_nearest"] or NO_NUMBER, row["own_nearest_swapped"] or NO_NUMBER, _number(row["text"])),
                *(_number(row["diversity"]), _number(row["copies"])),
                *(
                    of_text(count, row["passes"]),
                    of_text(seconds, row["seconds_per_pass"]),
                    of_text(seconds, row["seconds"]),
                    _to_equal_loss(row),
                ),
                *(of_text(count, row["trained_values"]), of_text(count, row["stored_bytes"])),
                *(of_text(count, row["resident_parameters"]), of_text(memory, row["peak_memory_bytes"])),
                markers(row, notes),
            ]
        )
    what = "Personalised generation"
    return Sheet(heading(suite, title, what=what), HEADS, blank_repeats(body, 1), LEGEND, names=3, notes=notes)


def _number(text: str) -> str:
    return f"{float(text):.3f}" if text else NO_NUMBER


def _to_equal_loss(row: Row) -> str:
    """`12 s (28/30)`; without seconds where no subject gets there."""
    if not row["equal_probe"]:
        return NO_NUMBER
    return f"{of_text(seconds, row['seconds_to_equal_probe'])} ({row['equal_probe']})"


def _interval(row: Row, name: str) -> str:
    if not row[name] or not row[f"{name}_low"]:
        return _number(row[name])
    return f"{_number(row[name])} ({_number(row[f'{name}_low'])} … {_number(row[f'{name}_high'])})"
