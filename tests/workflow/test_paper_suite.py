"""The commands of docs/paper_suite.md, in their order: each is planned or run, one to its tables."""

import csv
import json
import re
import shlex
import subprocess
import sys
from collections import Counter

import pytest
from flow import ROOT

from tests.some_fast import fast

PAGE = (ROOT / "docs/paper_suite.md").read_text(encoding="utf-8")
COMMANDS = [
    line.partition("  #")[0].strip()
    for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL)
    for line in block.splitlines()
]
PLANNED = [command for command in COMMANDS if command.startswith("snakemake ")]
ON_A_CPU = PLANNED[-1]
PLANNED_QUICKLY = (  # of each kind of plan one
    PLANNED[0],
    *(command for command in PLANNED if "downloads" in command or "initial_seed: null" in command),
)
OTHERS = {  # what cannot be tried here, or is by other tests
    "make .venv/ready && source .venv/bin/activate",
    'python -c "import torch; print(torch.__version__, torch.version.cuda, torch.cuda.get_device_name())"',
    "make test-gpu",
    "python -m cones verify results/paper",
}


@pytest.fixture
def gpu_workflow(workflow):
    """A workflow with the profiles beside it, as in the repository."""
    (workflow.folder / "profiles").symlink_to(ROOT / "profiles")
    return workflow


def arguments_of(command: str) -> list[str]:
    """Of a snakemake command, without its `--cores`, which the tests give."""
    words = shlex.split(command)[1:]
    place = words.index("--cores")
    return words[:place] + words[place + 2 :]


def test_every_command_of_the_page_is_tried():
    plans = {command for command in COMMANDS if command.startswith("python -m cones plan")}
    assert set(COMMANDS) - plans == set(PLANNED) | OTHERS and len(PLANNED) == 7 and plans


@pytest.mark.parametrize("command", fast(PLANNED, *PLANNED_QUICKLY), ids=range(len(PLANNED)))
def test_it_plans(gpu_workflow, command):
    plan = gpu_workflow.planned(*arguments_of(command))
    if "downloads" in command:
        assert plan["fetch"] > 20 and plan["checkpoint"] == 7 and "tune" not in plan
    elif "initial_seed: null" in command:
        assert plan["checkpoint"] == 4 and plan["tune"] == 3 * (8 + 8 + 7)  # three models, a vocabulary
    elif "suite=paper_smoke" in command:
        assert "checkpoint" not in plan and plan["tune"] == plan["evaluate"] == (15 if "[bccd]" in command else 69)
    else:
        assert plan["tune"] >= 45 and plan["checkpoint"] >= 2


def test_the_forecast_says_what_waits_for_a_person():
    (command,) = (command for command in COMMANDS if command.startswith("python -m cones plan"))
    words = [sys.executable, *shlex.split(command)[1:]]
    said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    by_hand = re.findall(r"^by hand +(\w+):", said, re.MULTILINE)
    assert {"uninext_r50", "dfuc2020", "dfuc2022"} <= set(by_hand) and "on 4 of them" in said


def test_without_a_gpu_a_job_ends_in_one_line_that_says_what_is_missing(gpu_workflow):
    if __import__("torch").cuda.is_available():
        pytest.skip("this machine has a GPU")
    refused = [*arguments_of(ON_A_CPU)]
    refused.remove("allow_cpu=true")
    target = "features/paper_smoke/glip_t/bccd.json"
    said = gpu_workflow.run(target, *refused[refused.index("--config") :], check=False)
    assert "no GPU can be used, and a CPU is not allowed" in said and "built without CUDA" in said


@pytest.mark.slow
def test_on_a_cpu_it_runs_to_its_tables(workflow):
    """Full-size GLIP-T and UNINEXT from random weights: every method trains, is scored and is a row."""
    workflow.run(*arguments_of(ON_A_CPU), timeout=3600)
    for table, model, methods in (("table1", "glip_t", 8), ("table2", "uninext_r50", 7)):
        rows = list(csv.DictReader((workflow.folder / f"results/paper_smoke/{table}_cells.csv").open()))
        assert len(rows) == methods and Counter(row["status"] for row in rows) == {"done": methods}
        assert {row["model"] for row in rows} == {model} and {row["images"] for row in rows} == {"2"}
        notes = json.loads((workflow.folder / f"results/paper_smoke/{table}.data.json").read_text())["notes"]
        assert any("at most 2 pictures" in note for note in notes)
        assert any("short side of 320" in note and model in note for note in notes)
    record = json.loads(next(workflow.folder.glob("results/paper_smoke/glip_t/*/cones/seed0/tuning.json")).read_text())
    assert (record["steps"], len(record["history"]), record["device"]) == (2, 2, "cpu")
