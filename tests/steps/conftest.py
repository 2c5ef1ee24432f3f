"""Cells that the tests of a module share; the module makes them, or says of which suite they are, in `world`."""

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


@pytest.fixture
def plan(world, monkeypatch):
    """Of a `world` that is (a plan, the folder in which its cells are made): the plan, in that folder."""
    monkeypatch.chdir(world[1])
    return world[0]
