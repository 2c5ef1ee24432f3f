"""Personalised generation in the forecast: its cells are the workflow's, its passes those of learning and drawing."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cones.cli.main import app
from cones.experiment.cell import Cell, Plan
from cones.experiment.classification_cells import cells_before, classification_cells
from cones.experiment.outputs import OUTPUTS
from cones.experiment.pipeline import SUBJECT_STEPS, Pipeline
from cones.forecast.forecast import forecast
from cones.forecast.rates import REFERENCE
from cones.forecast.storage import pretrained_sources
from cones.forecast.subjects import Subjects, probes, read_subject_records, steps
from cones.models.generators import GENERATORS
from cones.models.stable_diffusion.settings import PROBES, SubjectTuning
from cones.runtime.artifacts import read_json, write_json
from workflow.context import Context

COUNTED = {
    "gflop": {
        "encode": 7,
        "decode": 40,
        "text_and_back": 5,
        "unet": 10,
        "unet_and_back": 22,
        "unet_and_back_short": 20,
    },
    "job_seconds": 20.0,
    "text_width": 8,
    "picture_bytes": 100,
}


@pytest.fixture
def here(tmp_path, monkeypatch, request):
    """An empty folder with the shipped config and registry, and no model that the environment names."""
    for name in ("config", "datasets.yaml"):
        (tmp_path / name).symlink_to(request.config.rootpath / name)
    monkeypatch.chdir(tmp_path)
    for name in ("CONES_SD15", "CONES_CLIP_B32", "CONES_DINO_S16", "CONES_SUITE"):
        monkeypatch.delenv(name, raising=False)


def finished(plan: Plan, cell: Cell, *, per_pass: float | None, drawing: float) -> dict:
    """What a cell leaves that a forecast looks at; `drawing` seconds for 10 pictures. Returns its `run.json`."""
    pipeline = Pipeline(plan)
    for file in (file for step in SUBJECT_STEPS for file in pipeline.files(pipeline.job_of(step, cell))):
        write_json(file, {})
    said = plan.suite.generation
    tuning = said.settings(cell.arm).model_dump(mode="json")
    run = {
        "tuning": {
            "method": said.method(cell.arm),
            "settings": tuning,
            "learning": {"passes": 150 if per_pass else 0, "seconds_per_pass": per_pass},
        },
        "drawing": {
            "reconstruction": {"pictures": 8, "seconds": drawing * 0.8},
            "editing": {"pictures": 2, "seconds": drawing * 0.2},
        },
        "device": "cuda:0",
        "machine": {"accelerator": "GPU X"},
    }
    write_json(cell.folder / "run.json", run)
    return run


def of_arm(found, arm):
    return next(line for line in found.lines if line.arm == arm)


@pytest.mark.parametrize("suite", ["miniature", "paper", "dreambooth"])
def test_the_cells_are_those_of_the_workflow(here, suite):
    """The input files of the rule that collects the subjects name every cell of theirs."""
    plan = Plan.load(suite)
    found = forecast(plan, ["results/generation.csv"], tflops=30)
    files = Context(plan, {}).output_inputs(OUTPUTS["generation"])
    wanted = {Path(file).parent for file in files if file.endswith("metrics.json")}
    assert found.cells == len(wanted) == len(plan.subject_cells())
    assert all(found.jobs[job] == len(wanted) for job in SUBJECT_STEPS)
    by_arm = {line.arm: line.cells for line in found.lines}
    assert by_arm == {arm: sum(folder.parts[-2] == arm for folder in wanted) for arm in by_arm}


def test_all_and_the_report_count_the_subjects_beside_the_grids(here):
    plan = Plan.load("miniature")
    classified = classification_cells(plan, on_request=False)
    joint = {before for cell in classified for before in cells_before(plan, cell)} - set(classified)
    both = len(plan.all_cells(on_request=False)) + len(plan.subject_cells()) + len(classified) + len(joint)
    assert forecast(plan, tflops=30).cells == forecast(plan, ["results/report.html"], tflops=30).cells == both
    assert forecast(plan, ["table1"], tflops=30).subjects is None
    assert forecast(plan, datasets=["dreambooth"], tflops=30).cells == len(plan.subject_cells())
    assert forecast(plan, ["figure3"], datasets=["bccd"], tflops=30).cells == 0


def test_methods_that_cannot_draw_are_no_work_and_the_class_name_learns_nothing(here):
    plan = Plan.load("miniature")
    found = forecast(plan, ["figure3"], tflops=30)
    assert found.cannot_draw == ["linear_probing", "prompt_tuning", "full_finetuning"]
    assert [line.arm for line in found.lines] == list(plan.suite.generation.drawing_arms)
    subjects, name = len(plan.registry["dreambooth"].classes), of_arm(found, "zero_shot")
    assert (name.cells, name.steps, of_arm(found, "cones").steps) == (subjects, (0, 0), (150 * subjects,) * 2)
    assert name.seconds[1] < of_arm(found, "cones").seconds[0]
    drawn = 5 * subjects * (8 + 25)  # one prompt of the reconstruction track, 25 of editing
    assert (found.subjects.passes, found.subjects.pictures) == ((4 * 150 * subjects,) * 2, drawn)
    assert found.subjects.sampling_passes == drawn * 2 * 25  # guided


def test_prompts_are_counted_once_the_dataset_is_prepared(here):
    plan = Plan.load("miniature", {"generation": {"subjects": ["dog6"]}})
    before = forecast(plan, ["figure3"], tflops=30).subjects.pictures
    described = {"subjects": {"dog6": {"prompts": "live"}}, "prompts": {"live": ["a {0} {1}"] * 3}}
    write_json(plan.data_folder("dreambooth") / "manifest.json", {"status": "ready", "generation": described})
    arms = len(plan.suite.generation.drawing_arms)
    assert (before, forecast(plan, ["figure3"], tflops=30).subjects.pictures) == (arms * (8 + 25), arms * (8 + 3))


def test_counted_seconds_follow_method_mode_and_speed(here):
    plan = Plan.load("paper")
    subjects = Subjects(plan, [], COUNTED, tflops=10.0)
    tuning = SubjectTuning(steps=200, accumulation=3, batch=2, guidance=7.5, sampling_steps=50)
    sampling = (10 + 40 / 100) / 10_000  # a hundred passes and one picture decoded
    probed = 3 * PROBES * sampling / 200  # before the first step, after 100 and 200
    for method, changes, gflop in (
        ("cones", {}, 20),
        ("cones", {"mode": "slot"}, 22),
        ("textual_inversion", {}, 22 + 5),
        ("cones", {"cache_posteriors": False}, 20 + 7),
    ):
        rate = subjects.rate(method, tuning.model_copy(update=changes))
        assert rate.step == pytest.approx(3 * 2 * gflop / 10_000 + probed)
        assert rate.image == pytest.approx(100 * sampling)
    unguided = subjects.rate("cones", tuning.model_copy(update={"guidance": 1}))
    assert unguided.image == pytest.approx((50 * 10 + 40) / 10_000)
    share = subjects.share(plan.subject_cell("dog6", "zero_shot", 0), 3)
    assert share.seconds == pytest.approx((60 + (16 + 4 * 25) * rate.image,) * 2)


def test_learning_that_may_stop_at_a_plateau_is_a_range():
    tuning = SubjectTuning(steps=3000, plateau_steps=450, probe_every=100, stop_at_plateau=True)
    assert steps("cones", tuning) == (500, 3000) and steps("zero_shot", tuning) == (0, 0)
    assert steps("cones", tuning.model_copy(update={"stop_at_plateau": False})) == (3000, 3000)
    assert [probes(tuning.model_copy(update={"steps": count})) for count in (0, 99, 100, 101)] == [1, 2, 2, 3]


def test_finished_cells_go_before_the_table_and_cost_nothing_more(here):
    plan = Plan.load("miniature", {"generation": {"subjects": ["dog6", "can"]}})
    whole = forecast(plan, ["figure3"], tflops=30)
    assert (whole.cells, whole.done, set(whole.seconds)) == (10, 0, {"cpu"})
    finished(plan, plan.subject_cell("dog6", "cones", 0), per_pass=0.4, drawing=5.0)
    finished(plan, plan.subject_cell("can", "zero_shot", 0), per_pass=None, drawing=10.0)
    broken = plan.subject_cell("can", "textual_inversion", 0)
    earlier = finished(plan, broken, per_pass=0.4, drawing=5.0)
    del earlier["drawing"]
    write_json(broken.folder / "run.json", earlier)
    records = {record.method: record for record in read_subject_records(Path("results"), "sd_nano")}
    assert set(records) == {"cones", "zero_shot"} and records["zero_shot"].sample is None
    assert (records["cones"].sample, records["cones"].sampling) == (pytest.approx(0.1), pytest.approx(0.01))
    rest = forecast(plan, ["figure3"], tflops=30)
    assert (rest.done, rest.subjects.cells) == (3, 7)
    assert of_arm(rest, "cones-slot").devices == {"GPU X": "recorded"}  # of the same method
    assert of_arm(rest, "textual_inversion").devices == {"cpu": "measured"}
    again = forecast(plan, ["figure3"], tflops=30, from_scratch=True)
    assert (again.done, again.subjects) == (0, whole.subjects)
    job_seconds = 3 * read_json(REFERENCE)["generators"]["sd_nano"]["job_seconds"]
    learning = 150 * 4 * 0.1 + 3 * PROBES * 0.01
    assert of_arm(again, "cones").seconds[0] == pytest.approx(2 * (learning + 33 * 50 * 0.01 + job_seconds))


def test_disk_and_downloads_of_the_real_thing(here, tmp_path, monkeypatch):
    plan = Plan.load("paper", {"generation": {"subjects": ["dog6"]}})
    found = forecast(plan, ["figure3"], tflops=30)
    sizes = {source.name: source.bytes for source in found.sources}
    assert sizes == {"dreambooth": 112e6, "sd15": 4.26e9, "clip_metric": 0.61e9, "dino_metric": 0.09e9}
    assert found.data_bytes == 2 * 112e6 + 4.96e9  # a model directory is used as it comes
    assert 116 * 524_288 < of_arm(found, "cones").bytes < 1.1 * 116 * 524_288
    assert found.feature_bytes == 0 and found.result_bytes > sum(line.bytes for line in found.lines)
    monkeypatch.setenv("CONES_SD15", str(tmp_path))
    states = {source.name: source.state for source in pretrained_sources(plan.suite.generation)}
    assert states["sd15"] == "incomplete"  # what was given and lacks a part is no download
    write_json(Path("checkpoints/pretrained/sd15.json"), {})
    states = {source.name: source.state for source in pretrained_sources(plan.suite.generation)}
    assert states["sd15"] == "ready"


def test_the_shipped_table_knows_every_generator():
    known = read_json(REFERENCE)["generators"]
    assert set(known) == GENERATORS
    plan = Plan.load("miniature")
    learnt = {plan.suite.generation.method(arm) for arm in plan.suite.generation.drawing_arms} - {"zero_shot"}
    assert set(known["sd_nano"]["sample_seconds"]) == learnt


def test_the_command_prints_passes_and_pictures(here):
    said = CliRunner().invoke(app, ["plan", "results/generation.csv"]).output
    assert "150, of which 0 are done" in said and "150 learn_subject" in said.replace("\n", " ")
    assert "18,000 training passes, 4,950 pictures in 247,500 sampling passes" in said
    assert "linear_probing, prompt_tuning, full_finetuning" in said and "not reckoned" not in said
    document = json.loads(CliRunner().invoke(app, ["plan", "figure6", "--json"]).output)
    assert (document["cells"], document["subjects"]["pictures"], document["parts"]) == (150, 4950, ["generation"])
