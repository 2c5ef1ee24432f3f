"""Of a test that proves the same of many things, `make test` tries a few; the others are slow (docs/testing.md)."""

from collections.abc import Iterable

import pytest


def first_two_fast(values: Iterable) -> list:
    """All values, as parameters; those after the second are marked `slow`."""
    values = list(values)
    return fast(values, *values[:2])


def fast(values: Iterable, *few) -> list:
    """All values, as parameters of a test or of a fixture; those that are not among `few` are marked `slow`."""
    values = list(values)
    assert set(few) <= set(values), "what is to be fast is no longer there"
    return [value if value in few else pytest.param(value, marks=pytest.mark.slow) for value in values]
