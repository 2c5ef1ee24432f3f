"""Seconds, bytes and counts as a person reads them, alone or as a range."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cones.outputs.wording import NO_NUMBER


def seconds(value: float) -> str:
    """Two digits: `2.1 µs`, `5.0 ms`, `0.80 s`, `12 s`, `3.4 min`, `21 h`."""
    if 0 < value < 1e-4:
        return f"{_digits(1e6 * value)} µs"
    for size, unit in ((3600, "h"), (60, "min")):
        if value >= 1.5 * size:
            return f"{_digits(value / size)} {unit}"
    return f"{_digits(value)} s" if value >= 0.1 or not value else f"{_digits(1000 * value)} ms"


def memory(value: float) -> str:
    """Binary units: `385 MiB`, `1.9 GiB`."""
    return f"{value / 2**30:.1f} GiB" if value >= 2**30 else f"{value / 2**20:.0f} MiB"


def count(value: float) -> str:
    """`384`, `16,384`, `1.90 M`."""
    return f"{value:,.0f}" if value < 100_000 else f"{value / 1e6:,.2f} M"


def rate(value: float) -> str:
    """A learning rate: `0.01`, `0.0001`, `1e-05`."""
    return f"{value:g}"


def of_text(form: Callable[[float], str], text: str) -> str:
    """`form` of a number of a CSV file, an en dash where there is none."""
    return form(float(text)) if text else NO_NUMBER


def span(values: Sequence[float], form: Callable[[float], str]) -> str:
    """`form` of the value, `low – high` where they read differently, an en dash for none."""
    if not values:
        return NO_NUMBER
    low, high = form(min(values)), form(max(values))
    if low == high:
        return low
    number, _, unit = low.partition(" ")
    return f"{number if unit == high.partition(' ')[2] else low}{NO_NUMBER}{high}"


def _digits(value: float) -> str:
    """At least two digits, never a trailing dot: 0.80, 3.4, 12, 345; nothing is 0."""
    if value >= 10 or not value:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"
