"""How long learning a subject takes to be as good as textual inversion: the paper's "an hour" against "ten minutes"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cones.outputs.subject_numbers import SubjectCell

EQUAL_PROBE = ("equal_probe", "seconds_to_equal_probe")
REFERENCE = "textual_inversion"  # the arm that the paper compares with


def to_equal_probe(cells: Sequence[SubjectCell], every: Sequence[SubjectCell], track: str) -> dict:
    """EQUAL_PROBE of the cells of one arm that drew the track; `every` holds those of the arm REFERENCE too.

    A cell gets there when its loss on the fixed probe set is, for the first time, no higher than that with which the
    reference ended on the same subject and seed. `equal_probe` counts the cells that do as "n/N", of those that can be
    compared; the seconds are the mean over those n, of passes and optimiser steps alone. {} where nothing compares.
    """
    ends = {
        (cell.subject, cell.seed): curve[-1]["loss"]
        for cell in every
        if cell.arm == REFERENCE and (curve := cell.learning.get("probe_curve"))
    }
    compared = [
        cell
        for cell in cells
        if (cell.subject, cell.seed) in ends
        and cell.learning.get("probe_curve")
        and cell.metrics
        and track in cell.metrics.tracks
    ]
    if not compared:
        return {}
    took = [seconds_to(cell.learning, ends[cell.subject, cell.seed]) for cell in compared]
    reached = [seconds for seconds in took if seconds is not None]
    count = f"{len(reached)}/{len(compared)}"
    return dict(zip(EQUAL_PROBE, (count, fmean(reached) if reached else None)))


def seconds_to(learning: Mapping, loss: float) -> float | None:
    """Seconds of learning until the probe loss is at most `loss`; None if it never was, or nothing was timed."""
    step = next((probe["step"] for probe in learning["probe_curve"] if probe["loss"] <= loss), None)
    per_pass, steps = learning.get("seconds_per_pass"), learning.get("optimiser_steps")
    if step is None or not per_pass or not steps:
        return None
    return step * per_pass * learning["passes"] / steps
