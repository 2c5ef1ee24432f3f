"""Means, t intervals and rounding."""

import math

import pytest

from cones.evaluation.seeds import over_seeds, rounded, with_interval
from cones.runtime.errors import ConesError


def test_one_seed_has_no_interval():
    assert over_seeds([41.0]) == (41.0, None, 1)


def test_interval_is_that_of_scipy():
    from scipy import stats

    values = [41.2, 43.9, 40.1, 42.0]
    low, high = stats.t.interval(0.95, len(values) - 1, loc=sum(values) / 4, scale=stats.sem(values, ddof=1))
    summary = over_seeds(values)
    assert summary.count == 4
    assert (summary.mean - summary.half_width, summary.mean + summary.half_width) == pytest.approx((low, high))


def test_two_seeds_by_hand():
    """The 97.5 % quantile with one degree of freedom is 12.706; the standard error of 40 and 42 is 1."""
    assert over_seeds([40.0, 42.0]) == (41.0, pytest.approx(12.7062, abs=1e-4), 2)


def test_equal_seeds_have_width_zero():
    assert over_seeds([0.1] * 3).half_width == pytest.approx(0)


@pytest.mark.parametrize("values", [[], [1.0, math.nan]])
def test_broken_values_are_refused(values):
    with pytest.raises(ConesError):
        over_seeds(values)


@pytest.mark.parametrize(
    "value, text", [(46.25, "46.3"), (46.35, "46.4"), (-0.04, "0.0"), (-0.05, "-0.1"), (100, "100.0"), (8.15, "8.2")]
)
def test_half_away_from_zero(value, text):
    assert rounded(value) == text


@pytest.mark.parametrize(
    "mean, half, text",
    [
        (63.84, None, "63.8"),
        (63.84, 0.41, "63.8 ± 0.5"),
        (63.84, 0.01, "63.8 ± 0.1"),
        (63.84, 12.706, "64 ± 13"),
        (63.84, 0.0, "63.8 ± 0.0"),
        (63.84, 0.4, "63.8 ± 0.4"),
    ],
)
def test_intervals_claim_no_more_than_was_measured(mean, half, text):
    assert with_interval(mean, half) == text
