"""The calls of a notebook leave what the commands leave; the example of docs/python.md runs as it is printed."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from flow import ROOT

import cones
from cones.experiment.cell import Plan
from cones.experiment.pipeline import Pipeline
from cones.experiment.stale import Staleness
from cones.runtime.errors import ConesError

(EXAMPLE,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/python.md").read_text(encoding="utf-8"), re.S)
NAMES = {"suite": "ci", "model": "glip_nano", "dataset": "bccd"}
# in a process of its own, as a notebook is: one in which hundreds of tests ran promises no equal bytes
TUNED_AND_EVALUATED = f"""
from pathlib import Path
import cones
cell = cones.tune(**{NAMES}, arm="cones_finetuned")
assert cell.folder == Path("results/ci/glip_nano/bccd/cones_finetuned/seed0")
assert not (cell.folder / "metrics.json").exists()
assert not Path("results/ci/glip_nano/bccd/text.safetensors").exists()  # which this method does not read
cones.evaluate(cell)
"""


def run_example(folder: Path, text: str, environment: dict) -> str:
    raw = folder / "data/miniature/bccd/raw"
    (folder / "photos").mkdir(exist_ok=True)
    for image in json.loads((raw.parent / "test.json").read_text())["images"][:2] if raw.exists() else ():
        shutil.copy(raw / image["file_name"], folder / "photos")
    command = [sys.executable, "-c", text]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_example_of_the_page_on_a_finished_suite(own_finished):
    said = run_example(own_finished.folder, EXAMPLE.replace('"quick"', '"ci"'), own_finished.environment)
    cell = own_finished.cell("bccd", "cones")
    ap = json.loads((cell / "metrics.json").read_text())["scores"]["bbox"]["ap"]
    lines = said.splitlines()
    assert lines[0] == "results/ci/glip_nano/bccd/cones/seed0" and lines[1].startswith(f"test AP {ap:.1f}, ")
    drawn = [own_finished.folder / line for line in lines if line.startswith("predicted/")]
    assert len(drawn) == 2 and all(path.is_file() for path in drawn)


def test_a_cell_made_by_calls_is_the_one_that_the_workflow_made(own_finished, monkeypatch):
    monkeypatch.chdir(own_finished.folder)
    folder = own_finished.cell("bccd", "cones_finetuned")
    records = ("metrics.json", "predictions.json", "tuning.made_of.json", "run.made_of.json")
    before = {name: json.loads((folder / name).read_text()) for name in records}
    text = own_finished.folder / "results/ci/glip_nano/bccd/text.safetensors"
    kept = (own_finished.cell("bccd", "cones") / "state.safetensors").stat().st_mtime_ns
    shutil.rmtree(folder)
    text.unlink()
    run_example(own_finished.folder, TUNED_AND_EVALUATED, own_finished.environment)
    cell = Plan.load("ci").cell("glip_nano", "bccd", "cones_finetuned", 0)
    metrics = cones.evaluate(cell)
    after = {name: json.loads((folder / name).read_text()) for name in records}
    for name in ("metrics.json", "predictions.json"):
        assert after[name] == before[name], name
    for name in ("tuning.made_of.json", "run.made_of.json"):
        for key in ("settings", "code"):
            assert after[name][key] == before[name][key], (name, key)
    assert metrics.scores["bbox"].ap == before["metrics.json"]["scores"]["bbox"]["ap"]
    pipeline = Pipeline(Plan.load("ci"))
    staleness = Staleness(pipeline)
    assert [job for job in pipeline.behind([pipeline.job_of("evaluate", cell)]) if staleness.reason(job)] == []
    assert (own_finished.cell("bccd", "cones") / "state.safetensors").stat().st_mtime_ns == kept  # stage 1
    made = (folder / "state.safetensors").stat().st_mtime_ns
    assert cones.evaluate(str(cell.folder)) == metrics and (folder / "state.safetensors").stat().st_mtime_ns == made
    cones.evaluate(**NAMES, arm="zero_shot", again=True)
    assert text.exists()


def test_calls_say_what_is_wrong(finished, monkeypatch):
    monkeypatch.chdir(finished.folder)
    with pytest.raises(ConesError, match=r'arm "coness" is not in the suite.*did you mean "cones"'):
        cones.tune(**NAMES, arm="coness")
    with pytest.raises(ConesError, match="which cell"):
        cones.evaluate(suite="ci", model="glip_nano")
    with pytest.raises(ConesError, match="not the folder of a cell"):
        cones.predict("photo.jpg", "results/ci")
    with pytest.raises(AttributeError, match="no attribute 'tunes'"):
        cones.tunes  # noqa: B018


def test_importing_the_package_imports_nothing_heavy():
    code = "import sys, cones; print({'torch', 'numpy', 'pydantic', 'cones.steps'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
    assert {"tune", "evaluate", "predict"} <= set(dir(cones))


@pytest.mark.slow
def test_the_first_minute_and_the_example_after_it(workflow):
    """The suite of `make quick`, whole, and the example of the page as it is printed."""
    picture = "results/quick/glip_nano/bccd/predictions.png"
    targets = ("results/quick/table1.csv", picture, "--config", "suite=quick")
    said = workflow.run(*targets)
    assert "ConES (stage 1)" in said and f"The picture, annotated beside predicted: {picture}" in said
    assert "Nothing to be done" in workflow.run(*targets)
    lines = run_example(workflow.folder, EXAMPLE, workflow.environment).splitlines()
    assert (
        lines[0] == "results/quick/glip_nano/bccd/cones/seed0"
        and sum(line.startswith("predicted/") for line in lines) == 2
    )
    (workflow.folder / picture).unlink()
    assert workflow.planned(*targets) == {"preview": 1}


@pytest.mark.slow
def test_a_cell_from_nothing(workflow, monkeypatch):
    """Drawing, preparing, weights, text states, image features and stage 1 come with the cell that needs them."""
    monkeypatch.chdir(workflow.folder)
    metrics = cones.evaluate(**NAMES, arm="cones_finetuned")
    assert metrics.status == "done" and (workflow.cell("bccd", "cones") / "tuning.json").exists()
    planned = workflow.planned("results/ci/glip_nano/bccd/cones_finetuned/seed0/metrics.json", "--config", "suite=ci")
    assert planned == {}
