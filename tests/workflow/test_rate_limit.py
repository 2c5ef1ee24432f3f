"""How often Snakemake looks at its ready jobs, counted in its debug log: about once per finished job."""

import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
JOBS = 24
SNAKEFILE = f"""
import sys
sys.path.insert(0, {str(PROJECT)!r})
from workflow.rate_limit import drop_default_rate_limit

rule all:
    input: [f"{{n}}.txt" for n in range({JOBS})]

rule one:
    output: "{{n}}.txt"
    shell: "sleep 0.25; touch {{output}}"
"""
DROPPED = """
onstart:
    drop_default_rate_limit(workflow.scheduler)
"""


@pytest.mark.parametrize(
    ("snakefile", "options", "limited"),
    [
        (SNAKEFILE + DROPPED, (), False),
        (SNAKEFILE + DROPPED, ("--max-jobs-per-timespan", "50/1s"), True),
        # if this fails, Snakemake needs workflow/rate_limit.py no more
        pytest.param(SNAKEFILE, (), True, marks=pytest.mark.slow),
    ],
    ids=["nobody-asked", "asked-for", "snakemake-itself"],
)
def test_a_finished_job_leaves_no_chain_of_looks_behind(tmp_path, snakefile, options, limited):
    (tmp_path / "Snakefile").write_text(snakefile)
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--scheduler", "greedy", "--verbose"]
    run = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    assert len(list(tmp_path.glob("*.txt"))) == JOBS
    looks = run.stderr.count("Ready jobs: ")
    assert (looks > JOBS + 4) == limited, f"{looks} looks at the ready jobs for {JOBS} jobs"
