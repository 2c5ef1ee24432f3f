"""A model family is added without touching a method: no method's file names one."""

import re
from pathlib import Path

import pytest

from cones.methods.method import METHODS
from cones.runtime.sources import source_path


@pytest.mark.parametrize("file", sorted({source_path(METHODS.module(name)) for name in METHODS}), ids=lambda p: p.name)
def test_a_method_names_no_model(file: Path):
    text = file.name + file.read_text(encoding="utf-8")
    assert not re.search("glip|uninext|gdino|grounding.dino|llmdet", text, re.IGNORECASE)
