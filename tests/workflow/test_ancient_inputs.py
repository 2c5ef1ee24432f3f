"""A file that is an `ancient` input and has to be made again hides nothing of what else has to be made."""

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PATCH = f"""
import sys
sys.path.insert(0, {str(PROJECT)!r})
from workflow.ancient_inputs import plan_behind_ancient_inputs
plan_behind_ancient_inputs()
"""
SNAKEFILE = """
rule all:
    input: "cells"

rule features:
    output: "features"
    params: config.get("budget", 1)
    shell: "touch {output}"

rule cell:
    input: ancient("features")
    output: "cell-{n}"
    shell: "echo made >> {output}"

rule collect:
    input: "cell-1", "cell-2"
    output: "cells"
    shell: "cat {input} > {output}"
"""


def run(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def test_what_is_missing_behind_it_is_made_in_the_same_run_and_what_is_there_is_kept(tmp_path):
    (tmp_path / "Snakefile").write_text(PATCH + SNAKEFILE)
    run(tmp_path, "features", "cell-1")
    first = (tmp_path / "cell-1").stat().st_mtime_ns
    run(tmp_path, "--config", "budget=2")
    assert (tmp_path / "cells").read_text() == "made\nmade\n"
    assert (tmp_path / "cell-1").stat().st_mtime_ns == first


@pytest.mark.slow
def test_snakemake_itself_makes_nothing_behind_it(tmp_path):
    """Why the patch is there (snakemake/snakemake#4166): if this fails, Snakemake needs it no more."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    run(tmp_path, "features", "cell-1")
    run(tmp_path, "--config", "budget=2")
    assert not (tmp_path / "cells").exists()
