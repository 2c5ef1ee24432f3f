"""Stale results are made again if a target needs them; Snakemake's own way makes those that none needs too."""

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PATCH = f"""
import sys
sys.path.insert(0, {str(PROJECT)!r})
from workflow.stale_results import make_again
make_again(["wanted", "other"])
"""
SNAKEFILE = """
rule all:
    input: "table"

rule cell:
    output: "{name}"
    wildcard_constraints: name="wanted|other"
    shell: "echo made >> {output}"

rule table:
    input: "wanted"
    output: "table"
    shell: "cat {input} > {output}"
"""


def run(folder: Path, *arguments: str) -> None:
    command = [sys.executable, "-m", "snakemake", "--cores", "1", *arguments]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)


def made(folder: Path) -> dict[str, float]:
    return {name: (folder / name).stat().st_mtime_ns for name in ("wanted", "other", "table")}


def test_a_stale_file_that_a_target_needs_is_made_again_and_one_that_none_needs_is_not(tmp_path):
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    run(tmp_path, "all", "other")
    before = made(tmp_path)
    (tmp_path / "Snakefile").write_text(PATCH + SNAKEFILE)
    run(tmp_path)
    after = made(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {"wanted", "table"}


@pytest.mark.slow
def test_snakemake_itself_makes_what_no_target_needs(tmp_path):
    """Why the patch is there: if this fails, `--forcerun` does what it does, and Snakemake needs it no more."""
    (tmp_path / "Snakefile").write_text(SNAKEFILE)
    run(tmp_path, "all", "other")
    before = made(tmp_path)
    run(tmp_path, "all", "--forcerun", "wanted", "other")
    assert made(tmp_path)["other"] != before["other"]
