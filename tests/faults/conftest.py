"""A small grid that was left in peace: what disturbed runs are compared with, and a finished tree to spoil."""

import shutil

import pytest

from tests.faults.kill_anywhere import Peaceful
from tests.once import made_once


@pytest.fixture(scope="session")
def peaceful(tmp_path_factory) -> Peaceful:
    return Peaceful.of(made_once(tmp_path_factory, "peaceful", Peaceful.run))


@pytest.fixture
def tree(peaceful, tmp_path, monkeypatch):
    """A copy of its folder, which a test may spoil; the working directory."""
    folder = tmp_path / "tree"
    shutil.copytree(peaceful.flow.folder, folder, ignore=shutil.ignore_patterns(".snakemake"), symlinks=True)
    monkeypatch.chdir(folder)
    return folder
