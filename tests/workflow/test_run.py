"""The whole experiment on a small grid: one command, one table, and only what must be done is done again."""

import csv
import json
import shutil

import pytest
from flow import jobs_of

from cones.experiment.cell import Plan
from cones.experiment.suite import load_suite
from cones.forecast.forecast import forecast
from tests.some_fast import fast

CI = ("--config", "suite=ci")
ARMS = list(load_suite("ci").arms)
TABLE = "results/table1.csv"
TO_TABLE = {"collect_table1": 1, "table1": 1, "publish": 1}  # the jobs from cells to the table
FORCED = {  # (dataset, arm) of the cells that are forced, and how many are made again
    "a cell": ([("bccd", "linear_probing")], 1),
    "a method": ([("aquarium", "prompt_tuning"), ("bccd", "prompt_tuning")], 2),
    "a dataset": ([("bccd", arm) for arm in ARMS], 7),
    "a first stage": ([("bccd", "cones")], 2),
    "a cell and a first stage": ([("bccd", "linear_probing"), ("bccd", "cones")], 3),
}


def rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_one_command_ends_in_a_table_without_holes(finished):
    table = rows(finished.folder / TABLE)
    assert sorted(row["method"] for row in table) == sorted(ARMS)
    for row in table:
        assert row["suite"] == "ci"
        assert (row["natural_datasets"], row["non_radiology_datasets"]) == ("1/1", "1/1")
        assert 0 <= float(row["natural_ap"]) <= 100
    cells = rows(finished.folder / "results/ci/table1_cells.csv")
    assert len(cells) == 14 and {cell["status"] for cell in cells} == {"done"}
    assert "suite: ci" in (finished.folder / "results/table1.md").read_text()
    assert "The table: results/ci/table1.csv" in finished.said


def test_every_cell_says_how_it_was_made_and_leaves_no_checkpoint(finished):
    for dataset in ("aquarium", "bccd"):
        for arm in ARMS:
            folder = finished.cell(dataset, arm)
            assert not (folder / "resume.pt").exists()
            run = json.loads((folder / "run.json").read_text())
            assert {"command", "settings", "inputs_sha256", "revision", "versions", "sha256", "tuning"} <= run.keys()
            assert run["settings"]["method"] == arm
            assert run["command"][:6] == ["python", "-m", "cones", "evaluate", "--suite", "ci"]


def test_every_step_started_warm_in_one_server(finished):
    log = (finished.folder / "logs/warm.log").read_text()
    assert log.count(": ready after") == 1 and "refuses" not in log
    assert log.count("ended with 0: evaluate") == log.count("ended with 0: tune") == 14


def test_only_methods_that_listen_to_it_read_the_text_encoder_and_stage_2_reads_stage_1(finished):
    def inputs(arm):
        return " ".join(json.loads((finished.cell("bccd", arm) / "run.json").read_text())["inputs_sha256"])

    assert "text.safetensors" in inputs("zero_shot") and "text.safetensors" in inputs("linear_probing")
    assert "text.safetensors" not in inputs("cones") + inputs("cones_finetuned")
    assert "bccd/cones/seed0/state.safetensors" in inputs("cones_finetuned")
    metrics = json.loads((finished.cell("bccd", "cones") / "metrics.json").read_text())
    assert metrics["parameters"]["used"]["text_encoder"] == 0


def test_a_finished_run_has_nothing_to_do(finished):
    assert "Nothing to be done" in finished.run(TABLE, *CI)


def test_shared_image_features_come_and_go_without_re_running_a_cell(own_finished):
    numbers = [file for file in (own_finished.folder / "features").rglob("bccd.*") if file.suffix == ".bin"]
    assert json.loads((own_finished.cell("bccd", "cones") / "run.json").read_text())["tuning"]["shared_views"] > 0
    for file in numbers:
        file.unlink()
        file.with_suffix(".json").touch()
    assert numbers and "Nothing to be done" in own_finished.run(TABLE, *CI)
    again = ("-R", "features", "--config", "suite=ci")
    assert own_finished.planned(TABLE, *again) == {"features": 2}


@pytest.mark.parametrize("forced", fast(FORCED, "a cell and a first stage"))
def test_forcing_cells_re_runs_just_these_and_what_is_made_of_them(finished, forced):
    cells, again = FORCED[forced]
    states = [finished.state(*cell) for cell in cells]
    assert finished.planned(TABLE, "-R", *states, *CI) == {"tune": again, "evaluate": again, **TO_TABLE}


def test_deleting_a_file_rebuilds_just_what_depends_on_it(own_finished):
    """Each file that goes adds its own jobs and no others; one run brings all back, byte for byte."""
    deleted = [
        own_finished.folder / "results/ci/table1_cells.csv",
        own_finished.cell("aquarium", "cones") / "metrics.json",
        own_finished.cell("bccd", "cones") / "predictions.json",
        own_finished.cell("aquarium", "zero_shot") / "state.safetensors",
    ]
    kept = {path: path.read_bytes() for path in deleted}
    deleted[0].unlink()
    assert own_finished.planned(TABLE, *CI) == TO_TABLE
    for path in deleted[1:]:
        path.unlink()
    assert jobs_of(own_finished.run(TABLE, *CI)) == {"tune": 1, "evaluate": 3, **TO_TABLE}
    for path, content in kept.items():
        assert path.read_bytes() == content, path


def test_the_report_is_made_of_what_is_there_and_made_again_when_it_is_gone(own_finished):
    report = "results/report.html"
    made = {"table7": 1, "table8": 1, "table10": 1, "ranks": 1, "per_class": 1, "efficiency": 1}
    made |= {"render_report": 1, "report": 1}
    assert jobs_of(own_finished.run(report, *CI)) == made
    assert "suite: ci" in (own_finished.folder / report).read_text()
    assert "Nothing to be done" in own_finished.run(report, *CI)
    (own_finished.folder / "results/ci/figure_methods.png").unlink()
    assert own_finished.planned(report, *CI) == {"render_report": 1, "report": 1}
    assert set(own_finished.planned(*CI)) == {"all", "render_report", "report", "publish"}


def test_a_changed_setting_re_runs_the_cells_it_reaches(finished):
    rates = json.dumps({"glip_nano": {"learning_rate": {"cones": 0.05}}})
    plan = finished.planned(TABLE, "--config", "suite=ci", f"models={rates}")
    assert (plan["tune"], plan["evaluate"]) == (4, 4)  # stage 1 and stage 2 of both datasets
    assert "prepare" not in plan and "text_states" not in plan


@pytest.mark.parametrize(
    "arms", [["cones", "full_finetuning"], pytest.param(["cones_finetuned", "prompt_tuning"], marks=pytest.mark.slow)]
)
def test_the_same_seed_gives_the_same_bytes_warm_and_cold(finished, own_finished, monkeypatch, arms):
    """Of cells; their data, weights and texts are there. From nothing: test_faults.py, killed at any moment."""
    for arm in ARMS:
        shutil.rmtree(own_finished.cell("bccd", arm))
    (own_finished.folder / "logs/warm.log").unlink()
    monkeypatch.setenv("CONES_WARM", "0")
    targets = [f"results/ci/glip_nano/bccd/{arm}/seed0/metrics.json" for arm in arms]
    assert set(jobs_of(own_finished.run(*targets, *CI))) == {"tune", "evaluate"}
    assert not (own_finished.folder / "logs/warm.log").exists()
    for arm in arms:
        cold, warm = own_finished.cell("bccd", arm), finished.cell("bccd", arm)
        for file in ("metrics.json", "state.safetensors", "predictions.json"):
            assert (cold / file).read_bytes() == (warm / file).read_bytes()


def test_a_forecast_counts_the_jobs_of_a_dry_run(workflow):
    planned = workflow.planned(TABLE, *CI)
    assert (planned.pop("collect_table1"), planned.pop("table1"), planned.pop("publish")) == (1, 1, 1)
    assert forecast(Plan.load("ci"), [TABLE], tflops=30).jobs == planned


def test_a_suite_of_table_2_alone_is_planned_before_its_own_folder_is_there(workflow):
    report = workflow.planned("results/report.html", "--config", "suite=fuseg")
    made = {"table2", "table7", "efficiency", "render_report", "report"}
    assert {rule: report[rule] for rule in made} == dict.fromkeys(made, 1)
    jobs = workflow.planned("results/fuseg/table2.csv", "--config", "suite=fuseg")
    cells = {"features": 1, "tune": 3, "evaluate": 3}
    assert jobs == {"fetch": 1, "prepare": 1, "weights": 1, "text_states": 1, **cells, "collect_table2": 1, "table2": 1}
