"""The pipeline says once what the rules, the forecast and the reasons for holes read."""

import pytest

from cones.experiment import digests
from cones.experiment.cell import Plan
from cones.experiment.pipeline import Pipeline
from cones.experiment.step import Job
from cones.runtime.errors import ConesError


def test_no_two_jobs_of_the_miniature_leave_the_same_file():
    pipeline = Pipeline(Plan.load("miniature"))
    jobs = pipeline.all_jobs()
    files = [file for job in jobs for file in pipeline.files(job)]
    assert len(files) == len(set(files)) and len(jobs) == len(set(jobs))
    assert len({pipeline.log(job) for job in jobs}) == len(jobs)
    assert {job.step for job in jobs} == set(pipeline.steps) - {"checkpoint"}  # the weights of the miniature ship


def test_a_model_that_starts_at_random_has_weights_of_its_own():
    shipped = Plan.load("miniature", {"models": {"glip_nano": {"initial_seed": None}}})
    plans = [shipped, *(Plan.load("miniature", {"models": {"glip_nano": {"initial_seed": seed}}}) for seed in (0, 1))]
    names = [plan.weights("glip_nano").name for plan in plans]
    assert names == ["glip_nano.safetensors", "glip_nano-seed0.safetensors", "glip_nano-seed1.safetensors"]


@pytest.mark.parametrize("place", ["labels.json", "train/labels.json", "linked/labels.json"])
def test_planning_sees_every_file_of_a_folder_at_any_depth(tmp_path, place):
    plan = Plan.load("bccd", {"mirror": str(tmp_path / "mirror")})
    folder, elsewhere = tmp_path / "mirror/bccd", tmp_path / "elsewhere"
    assert digests.files_given(plan, "official", "bccd") == ""
    (folder / "train").mkdir(parents=True)
    elsewhere.mkdir()
    (folder / "linked").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(folder)  # a circle
    for each in ("labels.json", "train/labels.json", "linked/labels.json"):
        (folder / each).write_text("abc")
    before = digests.files_given(plan, "official", "bccd")
    assert before and before == digests.files_given(plan, "official", "bccd")
    status = (folder / place).stat()
    (folder / place).write_text("abd")
    assert (folder / place).stat().st_size == status.st_size
    assert digests.files_given(plan, "official", "bccd") != before


def test_an_entry_without_the_source_is_one_line():
    with pytest.raises(ConesError, match='no source "sample"'):
        digests.dataset_entry(Plan.load("ci"), "sample", "aquarium")


def test_a_step_of_a_run_has_the_digests_of_the_run_and_one_by_hand_its_own(monkeypatch):
    plan, job = Plan.load("ci"), Job("tune", dataset="bccd", model="glip_nano", arm="cones")
    monkeypatch.setenv(digests.PLANNED, "{}")  # is put back
    own = Pipeline(plan).code(job)
    Pipeline(plan).export_code()
    monkeypatch.setattr(digests, "code_digest", lambda *modules: "read again")
    assert Pipeline(plan).code(job) == own
    monkeypatch.delenv(digests.PLANNED)
    assert Pipeline(plan).code(job) == "read again"
