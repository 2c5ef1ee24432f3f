"""One output is one file: an edit of it re-runs that output alone, and a new one appears everywhere by being there."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cones.experiment.cell import Plan
from cones.experiment.outputs import OUTPUTS, outputs_of
from cones.forecast.targets import cells_of, parts_of
from cones.outputs.make import make_output
from cones.runtime.errors import ConesError
from cones.steps.collect import collect_grid
from cones.steps.report import write_report
from cones.steps.show import show_table
from cones.steps.verify import verify
from tests.outputs.report.suites import ROOT, finished
from tests.some_fast import fast

MINE = '''"""How many cells of each model have numbers."""

import pandas  # heavy, and yet the registry is read without it

from cones.outputs.sheet import Sheet

OUTPUT = {
    "name": "counts",
    "reads": "scores",
    "grids": ["counts"],
    "title": "Counts: how many cells have numbers",
}


def frame(cells, *, suite):
    done = cells[cells["status"] == "done"].groupby("model", sort=False).size().rename("done").reset_index()
    return done.assign(suite=suite)[["suite", "model", "done"]]


def sheet(columns, rows, *, suite, title=None):
    return Sheet(f"Counts, suite: {suite}", ["model", "done"], [[row["model"], row["done"]] for row in rows], [])
'''
DIGESTS = """
import json, sys
from cones.experiment.cell import Plan
from cones.outputs import digests as output_digests
from cones.experiment.outputs import outputs_of
from cones.experiment.pipeline import Pipeline
plan = Plan.load("miniature")
found = {output.name: output_digests.output(plan, output) for output in outputs_of(plan.suite.parts)}
pipeline = Pipeline(plan)
found |= {"collect": output_digests.collect(plan, "table1"), "report": output_digests.report(plan, {})}
jobs = {job.step: job for job in pipeline.all_jobs()}  # one of each step
found |= {step: pipeline.digest(job) for step, job in jobs.items()}
assert not {"torch", "pandas", "numpy"} & set(sys.modules)
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A copy of the sources that a test may edit; what is edited has to be put back."""
    folder = tmp_path_factory.mktemp("library")
    for name in ("cones", "baselines", "config"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    shutil.copytree(ROOT / "workflow/reference", folder / "workflow/reference")
    shutil.copy(ROOT / "datasets.yaml", folder)
    return folder


def digests_of(library: Path) -> dict[str, str]:
    environment = {**os.environ, "PYTHONPATH": str(library)}
    done = subprocess.run(
        [sys.executable, "-c", DIGESTS], cwd=library, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def before(library):
    return digests_of(library)


def changed_by(library: Path, before: dict[str, str], edits: dict[str, str]) -> set[str]:
    """Whose digest is no longer that of `before` when these texts are appended to these files."""
    kept = {}
    for name, text in edits.items():
        path = library / name
        kept[path] = path.read_text() if path.exists() else None
        path.write_text((kept[path] or "") + text)
    after = digests_of(library)
    for path, text in kept.items():
        path.unlink() if text is None else path.write_text(text)
    return {name for name in before if before[name] != after[name]}


EDITED = {  # a file, and the outputs that an edit of it reaches
    "table5": {"table5"},
    "table3": {"table3"},
    "figure4_maps": {"figure4", "table3"},  # Figure 5 has its colours
    "reads/manifests": {"table7"},
    "table1": {"table1"},
}


@pytest.mark.parametrize("file", fast(EDITED, "table5"))
def test_an_edit_of_one_output_reaches_no_other_and_no_cell(library, before, file):
    changed = changed_by(library, before, {f"cones/outputs/{file}.py": "\nEDITED = 1\n"})
    assert changed - {"report"} == EDITED[file]


def test_a_new_output_re_runs_nothing(library, before):
    line = 'OUTPUTS["counts"] = "cones.outputs.counts"\n'
    assert changed_by(library, before, {"cones/outputs/counts.py": MINE, "cones/built_in.py": line}) == set()


@pytest.fixture
def counts(tmp_path, monkeypatch):
    """An output from outside, known while the test runs."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/counts_table.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path / "outside")
    OUTPUTS.add("counts", "counts_table")
    yield OUTPUTS["counts"]
    OUTPUTS.remove_added()
    sys.modules.pop("counts_table", None)


def test_an_output_from_outside_is_made_shown_reported_and_verified(counts, tmp_path, monkeypatch, capsys):
    grids = {"table1": {}, "counts": {"arms": ["zero_shot", "cones"]}}
    plan = finished(tmp_path, monkeypatch, suite="ci", grids=grids)
    assert [output.name for output in outputs_of(plan.suite.parts)][-1] == "counts"
    assert parts_of(plan, ["results/counts.csv"]) == ["counts"]
    assert {job for jobs in cells_of(plan, ["counts"]).values() for job in jobs} == {"tune", "evaluate"}
    collect_grid(plan, "counts")
    csv, markdown, *_ = make_output(plan, "counts")
    assert csv.read_text() == "suite,model,done\nci,glip_nano,4\n" and "| glip_nano | 4 |" in markdown.read_text()
    show_table(csv)
    assert "glip_nano" in capsys.readouterr().out
    page = write_report(plan)[0].read_text()
    assert 'id="counts"' in page and "Counts, suite: ci" in page
    csv.write_text(csv.read_text().replace("4", "5"))
    assert [fault for fault in verify(Path("results")).faults if "counts.csv: is not what its cells say" in str(fault)]


def test_a_grid_that_nothing_reads_is_refused():
    with pytest.raises(ConesError, match=r'grids\.tabel1: no table or figure is made of it; did you mean "table1"'):
        Plan.load("ci", {"grids": {"tabel1": {}}})
    with pytest.raises(ConesError, match=r"grids\.generation: no table or figure is made of it"):
        Plan.load("ci", {"grids": {"generation": {}}})
