"""Fixtures of the tests of models."""

import pytest

from cones.models import checkpoints


@pytest.fixture
def without_hint(monkeypatch):
    """A refused checkpoint is not compared with every other model, which takes seconds."""
    monkeypatch.setattr(checkpoints, "looks_like", lambda state, exclude: None)
