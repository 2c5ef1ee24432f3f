"""Cells of the suite `tiny` that the tests of a module share; the module says in `world` which suite that is."""

from functools import cache

import pytest

from tests.steps.tiny_cells import fit


@pytest.fixture(scope="module")
def cells():
    return cache(fit)


@pytest.fixture
def fitted(world, cells, monkeypatch):
    """Arm and setting -> (folder, metrics); each cell is fitted once, for all tests."""
    monkeypatch.chdir(world)
    return cells
