"""What was made of other settings, code, data or weights is found by its records, whoever made it and in what order."""

import json
import os
from pathlib import Path

import pytest

from cones.experiment.cell import Plan
from cones.experiment.made_of import record_of, recorded
from cones.experiment.pipeline import Pipeline
from cones.experiment.stale import UNKNOWN, Staleness
from cones.experiment.step import Job
from cones.runtime.artifacts import write_json, write_text
from cones.runtime.errors import ConesError
from tests.made import made_by

ROOT = Path(__file__).parents[2]
OVERRIDES = {"datasets": ["bccd"], "arms": ["zero_shot", "cones", "cones_finetuned"]}
CELL = {"model": "glip_nano", "dataset": "bccd", "arm": "cones"}


@pytest.fixture
def plan(tmp_path, monkeypatch) -> Plan:
    """The suite `ci`, cut to one dataset, whose files are there: made up, and recorded as made by this plan."""
    monkeypatch.chdir(tmp_path)
    for name in ("config", "datasets.yaml"):
        Path(name).symlink_to(ROOT / name)
    plan = Plan.load("ci", OVERRIDES)
    pipeline = Pipeline(plan)
    for job in pipeline.all_jobs():
        for file in pipeline.files(job):
            content = {"status": "ready"} if job.step == "fetch" else {"of": str(file)}
            write_json(file, content)
    made_by(plan)
    return plan


def stale(**overrides) -> dict[tuple[str, str], str]:
    """{(step, arm): reason} of everything that is stale under the suite with these overrides."""
    found = Staleness(Pipeline(Plan.load("ci", {**OVERRIDES, **overrides})))
    return {(job.step, job.arm): found.reason(job) for job in found.stale_jobs()}


def test_what_the_plan_made_is_not_stale_and_what_is_missing_is_none(plan):
    assert stale() == {}
    for file in [*Path("results").rglob("tuning.json"), *Path("data").rglob("manifest.json")]:
        file.unlink()
    assert stale() == {}


def test_other_settings_make_those_cells_stale_that_they_reach(plan):
    changed = stale(models={"glip_nano": {"learning_rate": {"cones": 0.05}}})
    assert changed == {(step, "cones"): "learning_rate was 0.1, is 0.05" for step in ("tune", "evaluate")}
    changed = stale(tuning={"max_epochs": 3})
    assert {arm for step, arm in changed if step == "evaluate"} == set(OVERRIDES["arms"])
    assert {reason for (_, arm), reason in changed.items() if arm} == {"tuning.max_epochs was 1, is 3"}


def test_without_a_record_or_with_that_of_another_file_nobody_knows_what_it_was_made_of(plan):
    tuned, scored = (Pipeline(plan).last_file(Job(step, **CELL)) for step in ("tune", "evaluate"))
    record_of(tuned).unlink()
    write_json(scored, {"copied": "from elsewhere"})
    assert stale() == {("tune", "cones"): UNKNOWN, ("evaluate", "cones"): UNKNOWN}


@pytest.mark.parametrize(
    ("step", "reached"),
    [
        ("prepare", {"text_states", "features", "tune", "evaluate", "embed", "preview"}),
        ("text_states", {"tune"}),
        ("weights", {"text_states", "features", "tune", "evaluate", "embed"}),
        ("features", set()),  # a cell computes what it does not find
    ],
)
def test_another_input_makes_what_reads_it_stale(plan, step, reached):
    pipeline = Pipeline(plan)
    job = next(job for job in pipeline.all_jobs() if job.step == step)
    with recorded(plan, job):
        write_json(pipeline.last_file(job), {"made": "again, and otherwise"})
    assert {step for step, _ in stale()} == reached
    assert all("another input" in reason for reason in stale().values())


def test_another_stage_1_makes_stage_2_stale(plan):
    first = Job("tune", **CELL)
    with recorded(plan, first):
        for file in Pipeline(plan).files(first):
            write_json(file, {"made": "again, and otherwise"})
    assert stale() == {
        ("tune", "cones_finetuned"): "made of another input: stage1",
        ("evaluate", "cones"): "made of another input: state",
        ("embed", "cones"): "made of another input: state",
    }


def test_other_code_makes_stale_and_an_input_that_is_elsewhere_does_not(plan, monkeypatch):
    for file in Path("checkpoints").glob("*.safetensors"):
        file.unlink()
    assert stale() == {}
    monkeypatch.setattr("cones.experiment.pipeline.code", lambda plan, job: "edited" * (job.step == "text_states"))
    assert {reason for (step, _), reason in stale().items() if step == "text_states"} == {
        "the code of the step has changed"
    }


def test_weights_that_a_person_put_there_are_kept_and_their_readers_stale(plan):
    weights = plan.weights("glip_nano")
    write_text(weights, "weights of a person's own")
    assert ("weights", "") not in stale() and ("tune", "cones") in stale()


def test_a_token_given_later_matters_to_what_was_not_fetched_alone(plan, monkeypatch):
    job = Job("fetch", dataset="bccd")
    file = Pipeline(plan).last_file(job)
    monkeypatch.setattr("cones.experiment.digests.credentials_missing", lambda *_: "needs_kaggle_token")
    for status, is_stale in (("ready", False), ("needs_kaggle_token", True)):
        with recorded(plan, job):
            write_json(file, {"status": status})
        with monkeypatch.context() as later:
            later.setattr("cones.experiment.digests.credentials_missing", lambda *_: "")
            assert (("fetch", "") in stale()) == is_stale


def test_an_edited_entry_of_the_registry_is_named(plan):
    text = Path("datasets.yaml").read_text()
    Path("datasets.yaml").unlink()
    Path("datasets.yaml").write_text(text.replace("paper_name: BCCD", "paper_name: Blood"))
    assert stale()["prepare", ""] == 'paper_name was "BCCD", is "Blood"'


def test_a_stale_cell_or_one_of_stale_data_is_refused_with_its_reason(plan):
    pipeline = Pipeline(plan)
    Staleness(pipeline).refuse(Job("evaluate", **CELL))
    record = record_of(plan.data_folder("bccd") / "manifest.json")
    content = json.loads(record.read_text())
    content["settings"]["classes"] = ["RBC"]
    write_json(record, content)
    with pytest.raises(ConesError, match=r"manifest.json: stale: classes was .* next: let the workflow"):
        Staleness(pipeline).refuse(Job("evaluate", **CELL))


def test_a_step_that_fails_records_nothing_and_one_of_several_processes_records(plan, monkeypatch):
    job = Job("tune", **CELL)
    record = record_of(Pipeline(plan).last_file(job))
    record.unlink()
    with pytest.raises(ZeroDivisionError), recorded(plan, job):
        raise ZeroDivisionError
    monkeypatch.setitem(os.environ, "RANK", "1")
    with recorded(plan, job):
        pass
    assert not record.exists()
    monkeypatch.setitem(os.environ, "RANK", "0")
    with recorded(plan, job):
        pass
    assert record.exists()


def test_what_an_interrupted_run_belongs_to_follows_settings_data_weights_and_stage_1(plan):
    def identity(arm: str, **overrides) -> str:
        with recorded(Plan.load("ci", {**OVERRIDES, **overrides}), Job("tune", **{**CELL, "arm": arm})) as found:
            return found

    before = {arm: identity(arm) for arm in OVERRIDES["arms"]}
    assert before == {arm: identity(arm) for arm in OVERRIDES["arms"]}
    assert identity("cones", tuning={"max_epochs": 3}) != before["cones"]
    write_json(Pipeline(plan).files(Job("tune", **CELL))[0], {"another": "stage 1"})
    assert identity("cones_finetuned") != before["cones_finetuned"] and identity("cones") == before["cones"]
    for file in (plan.weights("glip_nano"), plan.data_folder("bccd") / "manifest.json"):
        earlier = identity("cones")
        write_text(file, "another")
        assert identity("cones") != earlier
