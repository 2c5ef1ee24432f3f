"""Statistics over seeds: mean, t interval, and rounding to the precision that was measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import ROUND_HALF_UP, ROUND_UP, Decimal
from typing import NamedTuple

from cones.runtime.errors import ConesError

CONFIDENCE = 0.95


class OverSeeds(NamedTuple):
    """`mean ± half_width` over `count` seeds; one seed has no interval."""

    mean: float
    half_width: float | None
    count: int


def over_seeds(values: Sequence[float], confidence: float = CONFIDENCE) -> OverSeeds:
    """Mean and half width of Student's t interval (standard deviation with n - 1) of one number per seed."""
    from scipy.special import stdtrit  # the t quantile, without the seconds that importing scipy.stats takes

    count = len(values)
    if count == 0:
        raise ConesError("no seed to average over", next_step="list at least one under `seeds` in the suite's config")
    if not all(map(math.isfinite, values)):
        raise ConesError(
            "a value to average over seeds is not finite",
            found=", ".join(map(str, values)),
            next_step="delete the cell it comes from and run again",
        )
    mean = math.fsum(values) / count
    if count == 1:
        return OverSeeds(mean, None, 1)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    quantile = float(stdtrit(count - 1, (1 + confidence) / 2))
    return OverSeeds(mean, quantile * deviation / math.sqrt(count), count)


def rounded(value: float, decimals: int = 1) -> str:
    """A number rounded half away from zero, as in the paper (46.25 -> "46.3"), by the decimals that Python prints."""
    return _quantised(value, decimals, ROUND_HALF_UP)


def with_interval(mean: float, half_width: float | None, decimals: int = 1) -> str:
    """A mean with its interval, "63.8 ± 0.4": the half width is rounded up; from 10 on neither has decimals."""
    if half_width is None:
        return rounded(mean, decimals)
    if half_width >= 10:
        decimals = 0
    return f"{rounded(mean, decimals)} ± {_quantised(half_width, decimals, ROUND_UP)}"


def _quantised(value: float, decimals: int, rounding: str) -> str:
    # nine decimals: a mean of 47.050000000000004 means 47.05
    text = str(Decimal(repr(round(float(value), 9))).quantize(Decimal(1).scaleb(-decimals), rounding=rounding))
    return text.removeprefix("-") if not text.strip("-0.") else text
