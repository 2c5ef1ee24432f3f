"""Statistics over subjects: a mean with its bootstrap interval, and the paired difference of two methods.

Subjects, not pictures, are resampled: pictures of one subject are not independent.
"""

from collections.abc import Mapping
from typing import NamedTuple

from cones.evaluation.seeds import CONFIDENCE
from cones.runtime.errors import ConesError

DRAWS = 10_000


class OverSubjects(NamedTuple):
    """`mean` with its percentile interval `low … high`; one subject has none. `count` subjects have a value."""

    mean: float
    low: float | None
    high: float | None
    count: int


class PairedDifference(NamedTuple):
    """Second method minus first, subject by subject: how large, and for how many subjects which sign it has."""

    over: OverSubjects
    higher: int
    lower: int
    equal: int


def over_subjects(values: Mapping[str, float | None]) -> OverSubjects | None:
    """The mean of {subject: value} with its interval; subjects without a value do not count, None if none has one."""
    import torch

    from cones.runtime.determinism import generator

    known = [values[subject] for subject in sorted(values) if values[subject] is not None]
    if not known:
        return None
    rows = torch.tensor(known, dtype=torch.float64)
    if not rows.isfinite().all():
        raise ConesError(
            "a value to average over subjects is not finite",
            found=", ".join(map(str, known)),
            next_step="delete the cell it comes from and run again",
        )
    count = len(rows)
    if count == 1:
        return OverSubjects(known[0], None, None, 1)
    # equal for every number with as many subjects: the same subjects are drawn for all methods
    drawn = torch.randint(count, (DRAWS, count), generator=generator("bootstrap over subjects", count))
    means = rows[drawn].mean(1)  # (DRAWS, count) -> (DRAWS,)
    tail = (1 - CONFIDENCE) / 2
    low, high = means.quantile(torch.tensor([tail, 1 - tail], dtype=torch.float64)).tolist()
    return OverSubjects(float(rows.mean()), low, high, count)


def paired_difference(first: Mapping[str, float | None], second: Mapping[str, float | None]) -> PairedDifference | None:
    """The paired difference over the subjects that both have a value for; None if there is none."""
    shared = [subject for subject in first if first[subject] is not None and second.get(subject) is not None]
    differences = {subject: second[subject] - first[subject] for subject in shared}
    over = over_subjects(differences)
    if over is None:
        return None
    signs = list(differences.values())
    return PairedDifference(
        over, sum(value > 0 for value in signs), sum(value < 0 for value in signs), sum(value == 0 for value in signs)
    )
