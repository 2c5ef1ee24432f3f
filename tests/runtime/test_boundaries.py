"""Imports run one way, and the contracts that say so notice one that does not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cones.runtime.sources import PACKAGES, ROOT


def contracts(folder: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()"]
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    options = ["--no-logo", "--no-cache"]
    return subprocess.run([*command, *options], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture
def tree(tmp_path):
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors")
        )
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("cones/runtime/errors.py", "from cones.models import losses", "imports run one way BROKEN"),
        ("cones/models/losses.py", "import cones.experiment.suite", "imports run one way BROKEN"),
        ("cones/experiment/cell.py", "from cones.outputs import wording", "imports run one way BROKEN"),
        ("cones/training/tuner.py", "import baselines.zero_shot", "the library finds methods by name BROKEN"),
        ("cones/models/detector.py", "import cones.miniature.scenes", "alone BROKEN"),
        ("cones/runtime/errors.py", "import cones.runtime.artifacts", "no circles BROKEN"),
    ],
)
def test_an_import_upward_is_noticed(tree, file, line, broken):
    path = tree / file
    path.write_text(f"{path.read_text()}\n\ndef late():\n    {line}\n")
    done = contracts(tree)
    assert done.returncode == 1 and broken in " ".join(done.stdout.split()), done.stdout + done.stderr


def test_the_project_keeps_its_contracts(tree):
    done = contracts(tree)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_reader_opens_few_files_first():
    """The top level holds packages, the paper's core and what ships."""
    loose = {path.name for path in (ROOT / "cones").glob("*.py")}
    assert loose == {"__init__.py", "__main__.py", "built_in.py", "finetune.py", "search.py"}
