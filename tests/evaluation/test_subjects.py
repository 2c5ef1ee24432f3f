"""The bootstrap over subjects and paired differences."""

import pytest
import torch

from cones.evaluation.subjects import over_subjects, paired_difference
from cones.runtime.errors import ConesError


def values(count, seed=0, shift=0.0):
    drawn = torch.randn(count, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) + shift
    return {f"subject{number:02}": value for number, value in enumerate(drawn.tolist())}


def test_the_interval_is_that_of_the_mean_and_repeats():
    sample = values(30)
    found = over_subjects(sample)
    rows = torch.tensor(list(sample.values()))
    error = float(rows.std(unbiased=False)) / 30**0.5
    assert found.mean == pytest.approx(float(rows.mean())) and found.count == 30
    assert found.low == pytest.approx(found.mean - 1.96 * error, abs=0.15 * error)
    assert found.high == pytest.approx(found.mean + 1.96 * error, abs=0.15 * error)
    assert over_subjects(dict(reversed(sample.items()))) == found, "the order in which subjects came counts"


def test_subjects_without_a_value_do_not_count():
    assert over_subjects({"a": 1.0, "b": None}) == (1.0, None, None, 1)
    assert over_subjects({"a": None}) is None
    assert over_subjects({"a": 2.0, "b": 2.0, "c": None}) == (2.0, 2.0, 2.0, 2)
    with pytest.raises(ConesError, match="not finite"):
        over_subjects({"a": float("nan")})


def test_a_difference_is_taken_subject_by_subject():
    first = values(20)  # a wide spread over subjects, and a small and constant gain
    second = {subject: value + 0.01 for subject, value in first.items()}
    found = paired_difference(first, second | {"another": 5.0})
    assert (found.higher, found.lower, found.equal) == (20, 0, 0) and found.over.count == 20
    assert found.over.mean == pytest.approx(0.01) and found.over.low > 0.009
    signs = paired_difference({"a": 1.0, "b": 2.0, "c": 3.0, "d": None}, {"a": 2.0, "b": 1.0, "c": 3.0, "d": 1.0})
    assert signs[1:] == (1, 1, 1) and signs.over.mean == 0
    assert paired_difference({"a": 1.0}, {"b": 1.0}) is None
