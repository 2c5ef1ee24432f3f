"""The forecast reckons from records before tables, knows what waits for a person, and sums nothing it does not know."""

import json
import re
from math import ceil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cones.cli.main import app
from cones.experiment.cell import Cell, Plan
from cones.experiment.pipeline import Pipeline
from cones.forecast.forecast import forecast
from cones.forecast.rates import Rate, Rates, mean_area, passes, read_records
from cones.forecast.targets import cells_of, parts_of
from cones.forecast.work import Pictures, pictures, work
from cones.models.family import FAMILIES, is_nano
from cones.runtime.artifacts import write_json
from cones.runtime.errors import ConesError

REFERENCE = {
    "like": {"glip_nano_a": "glip_nano"},
    "models": {
        "glip_nano": {
            "measured_at": {"batch_size": 2, "area": 6400},
            "step_seconds": {"cones": 0.1, "full_finetuning": 0.3},
            "image_seconds": 0.02,
            "device": "cpu",
        },
        "glip_t": {
            "counted_at": {"height": 320},
            "gflop": {"encode": 30, "ground": 40, "text": 3, "back_to_language": 50, "back_through_everything": 200},
            "test_short_side": 640,
        },
    },
}


@pytest.fixture
def rates(tmp_path):
    write_json(tmp_path / "reference.json", REFERENCE)
    return lambda records=(): Rates(records, tflops=10.0, reference=tmp_path / "reference.json")


def finished(plan: Plan, cell: Cell, *, seconds=6.0, steps=12, epochs=2, **changes):
    """What a cell leaves that a forecast looks at, in the working directory."""
    pipeline = Pipeline(plan)
    for file in (file for step in ("tune", "evaluate") for file in pipeline.files(pipeline.job_of(step, cell))):
        write_json(file, {})
    run = {
        "settings": plan.settings(cell).model_dump(mode="json"),
        "tuning": {"seconds": seconds, "steps": steps, "history": [{}] * epochs},
        "inference": {"seconds_per_image": 0.5},
        "device": "cuda:0",
        "machine": {"accelerator": "GPU X"},
    }
    write_json(cell.folder / "run.json", run | changes)


@pytest.fixture
def here(tmp_path, monkeypatch, request):
    """An empty folder with the shipped config and registry."""
    for name in ("config", "datasets.yaml"):
        (tmp_path / name).symlink_to(request.config.rootpath / name)
    monkeypatch.chdir(tmp_path)


def test_counted_seconds_follow_batch_size_training_sizes_and_speed(rates):
    plan = Plan.load("paper", {"tuning": {"train_short_sides": [320, 640], "batch_size": 4}})
    settings = plan.settings(plan.cell("glip_t", "bccd", "cones", 0))
    rate = rates().of("glip_t", "bccd", settings)
    assert mean_area(settings.tuning) == (320**2 + 640**2) / 2
    assert rate.step == pytest.approx(4 * (30 + 40 + 50) * 2.5 / 10_000)  # the mean area is 2.5 times the counted one
    assert rate.image == pytest.approx((30 + 40) * 4 / 10_000)
    tuned = plan.settings(plan.cell("glip_t", "bccd", "prompt_tuning", 0))
    assert rates().of("glip_t", "bccd", tuned).step == pytest.approx(rate.step + 4 * 2 * 3 / 10_000)
    assert rates().of("glip_t", "bccd", plan.settings(plan.cell("glip_t", "bccd", "zero_shot", 0))).step is None
    probing = plan.settings(plan.cell("glip_t", "bccd", "linear_probing", 0))
    assert rates().of("glip_t", "bccd", probing).step == pytest.approx(4 * (30 + 40) * 2.5 / 10_000)
    known = rates()
    known.reference["models"]["glip_t"]["gflop"]["back_to_projections"] = 45
    assert known.of("glip_t", "bccd", probing).step == pytest.approx(4 * (30 + 40 + 45) * 2.5 / 10_000)


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("linear_probing", (("encode", "ground", "back_to_projections"), 0)),
        ("cones", (("encode", "ground", "back_to_language"), 0)),
        ("textual_inversion", (("encode", "ground", "back_to_language"), 2)),
        ("full_finetuning", (("encode", "ground", "back_through_everything"), 3)),
        ("cones_finetuned", (("encode", "ground", "back_through_everything"), 0)),
        ("coop", (("encode", "ground", "back_to_language"), 2)),
        ("taskres", (("encode", "ground", "back_to_language"), 0)),
        ("added_table", (("encode", "ground", "back_to_language"), 0)),
        ("bias_only", (("encode", "ground", "back_through_everything"), 0)),
    ],
)
def test_a_step_goes_back_as_far_as_what_trains(method, expected):
    assert passes(method) == expected


def test_a_method_that_was_not_measured_takes_as_long_as_those_of_its_passes():
    known = Rates([]).known("glip_nano")["step_seconds"]
    plan = Plan.load("miniature", {"tuning": {"train_short_sides": [160], "batch_size": 4}})
    took = {
        arm: Rates([]).of("glip_nano", "bccd", plan.settings(plan.cell("glip_nano", "bccd", arm, 0))).step
        for arm in ("taskres", "coop", "bias_only", "cones")
    }
    assert took["taskres"] == pytest.approx(max(known["cones"], known["cones_text_init"]))
    assert took["coop"] == pytest.approx(max(known["prompt_tuning"], known["textual_inversion"]))
    assert took["bias_only"] == pytest.approx(known["cones_finetuned"]) and took["cones"] == known["cones"]


def test_scores_on_other_datasets_are_images_to_detect_on():
    plan = Plan.load("miniature")
    least, most = (sum(line.seconds[end] for line in forecast(plan, ["forgetting"], tflops=30).lines) for end in (0, 1))
    grid = {"targets": {"vehicles_openimages": []}}
    without = forecast(Plan.load("miniature", {"grids": {"forgetting": grid}}), ["forgetting"], tflops=30)
    others = sum(pictures(plan, name).test for name in ("raccoon", "aquarium", "pistols"))
    image = Rates([]).known("glip_nano")["image_seconds"]
    job = Rates([]).known("glip_nano")["job_seconds"]
    for end, seconds in ((0, least), (1, most)):
        cells = len(list(plan.cells("forgetting"))) * (others * image + job)
        assert seconds == pytest.approx(sum(line.seconds[end] for line in without.lines) + cells)


def test_measured_seconds_are_scaled_and_a_model_may_be_like_another(rates):
    plan = Plan.load("miniature", {"tuning": {"train_short_sides": [160], "batch_size": 4}})
    settings = plan.settings(plan.cell("glip_nano", "bccd", "cones", 0))
    assert rates().of("glip_nano_a", "bccd", settings) == Rate(pytest.approx(0.1 * 2 * 4), 0.02, "cpu", "measured")
    assert rates().of("unheard_of", "bccd", settings) is None


def test_the_shipped_table_knows_every_size_with_an_official_checkpoint():
    official = (entry for entry in FAMILIES.values() if entry.official and entry.kind == "detector")
    models = [name for entry in official for name in entry.models if not is_nano(name)]
    known = {name: Rates([]).known(name) for name in models}
    assert len(known) > 10 and [name for name, entry in known.items() if entry is None] == []
    assert (
        known["llmdet_l"] == known["mm_gdino_l"] and known["mm_gdino_l"]["parameters"] > known["gdino_b"]["parameters"]
    )


def test_records_go_before_the_table_and_those_of_the_dataset_before_others(here, rates):
    plan = Plan.load("miniature")
    cells = [plan.cell("glip_nano", dataset, "cones", 0) for dataset in ("bccd", "pothole")]
    finished(plan, cells[0], seconds=6.0, steps=12, epochs=2)
    finished(plan, cells[1], seconds=12.0, steps=12, epochs=4)
    finished(plan, plan.cell("glip_nano", "tn3k", "cones", 0), settings={"of": "an earlier version"})
    known = rates(read_records(cells[0].folder.parents[4], ["glip_nano"]))
    settings = plan.settings(cells[0])
    assert known.of("glip_nano", "bccd", settings) == Rate(0.5, 0.5, "GPU X", "recorded", 2.0)
    assert known.of("glip_nano", "raccoon", settings) == Rate(0.75, 0.5, "GPU X", "recorded", 3.0)
    other = Plan.load("miniature", {"tuning": {"batch_size": 8, "max_epochs": 99}})
    rate = known.of("glip_nano", "bccd", other.settings(cells[0]))
    assert (rate.step, rate.epochs) == (1.0, None)  # twice the images; another budget says nothing of the epochs


def test_work_is_bounded_by_early_stop_and_budget():
    plan = Plan.load("paper")
    seen, rate = Pictures(train=255, val=73, test=36, classes=3, is_counted=False), Rate(1.0, 0.1, "cpu", "measured")
    settings = plan.settings(plan.cell("glip_t", "bccd", "cones", 0))
    per_epoch = ceil(255 / 4)
    assert work(settings, seen, rate).steps == (5 * per_epoch, 200 * per_epoch)
    assert work(settings, seen, rate).images == (5 * 73 + 36, 200 * 73 + 36)
    assert work(settings, seen, rate, 20).steps == (20 * per_epoch,) * 2
    assert work(settings, seen, Rate(1.0, 0.1, "cpu", "recorded", 7.0), 20).steps == (7 * per_epoch,) * 2
    few = Plan.load("paper", {"tuning": {"shots": 5, "copies": 2}})
    assert work(few.settings(few.cell("glip_t", "bccd", "cones", 0)), seen, rate, 1).steps == (ceil(15 * 2 / 4),) * 2
    untuned = plan.settings(plan.cell("glip_t", "bccd", "zero_shot", 0))
    assert work(untuned, seen, rate).images == (36, 36)


def test_work_is_bounded_by_a_limit_of_steps_and_of_pictures():
    seen, rate = Pictures(train=255, val=73, test=36, classes=3, is_counted=False), Rate(1.0, 0.1, "cpu", "measured")
    plan = Plan.load("paper", {"tuning": {"max_steps": 70}, "pictures": 10})
    done = work(plan.settings(plan.cell("glip_t", "bccd", "cones", 0)), seen, rate)
    assert done.steps == (70, 70) and done.images == (2 * 73 + 36,) * 2  # the second epoch of 64 steps is validated
    assert pictures(plan, "bccd") == Pictures(train=10, val=10, test=10, classes=3, is_counted=False)


def test_a_smaller_size_at_test_costs_less(rates):
    sizes = [
        rates().of("glip_t", "bccd", plan.settings(plan.cell("glip_t", "bccd", "cones", 0))).image
        for plan in (Plan.load("paper", {"models": {"glip_t": {"test_short_side": side}}}) for side in (None, 320))
    ]
    assert sizes[0] == pytest.approx(4 * sizes[1])


def test_a_cell_has_the_jobs_that_its_grids_read():
    plan = Plan.load("miniature")
    found = cells_of(plan, plan.suite.grids, ["tn3k"])
    of = {cell.arm: jobs for cell, jobs in found.items() if cell.model == "glip_nano" and not cell.seed}
    assert (of["cones"], of["full_finetuning"]) == ({"tune", "evaluate", "embed"}, {"tune", "evaluate"})
    assert of["cones_step0"] == {"tune", "embed"}


def test_targets_name_their_grids():
    plan = Plan.load("miniature")
    survey = ["survey", "survey_base_to_new", "survey_shift", "survey_wise_ft", "survey_multi_label", "survey_dense"]
    usual = [name for name, grid in plan.suite.grids.items() if not grid.on_request]  # not what is made on request
    assert parts_of(plan, []) == parts_of(plan, ["report"]) == [*usual, "generation", *survey]
    assert parts_of(plan, ["methods_pareto"]) == ["methods", "methods_modern", "methods_masks"]
    assert parts_of(plan, ["results/survey_few_shot.csv"]) == ["survey_few_shot"]
    assert parts_of(plan, ["results/table1.csv", "table10", "results/miniature/ranks.csv"]) == ["table1"]
    assert parts_of(plan, ["results/figure4.pdf", "figure5"]) == ["figure4", "stability", "table3"]
    for target in ("results/generation.csv", "figure3", "results/miniature/figure6.pdf", "generation_pairs.csv"):
        assert parts_of(plan, [target]) == ["generation"]
    for target, said in (
        ("results/paper/table1.csv", "another suite"),
        ("tabel2", 'did you mean "table2"'),
        ("results/generations.csv", 'no cells stand behind it.*did you mean "generation"'),
    ):
        with pytest.raises(ConesError, match=said):
            parts_of(plan, [target])
    for suite, target in (("bccd", "table4"), ("bccd", "figure3"), ("dreambooth", "report")):
        with pytest.raises(ConesError, match="does not make it"):
            parts_of(Plan.load(suite), [target])


def test_stage_2_brings_its_stage_1_and_a_dataset_can_be_asked_for_alone():
    plan = Plan.load("miniature", {"grids": {"table1": {"arms": ["cones_finetuned"]}}})
    cells = cells_of(plan, ["table1"], ["bccd"])
    assert {(cell.dataset, cell.arm): its_jobs for cell, its_jobs in cells.items()} == {
        ("bccd", "cones_finetuned"): {"tune", "evaluate"},
        ("bccd", "cones"): {"tune"},
    }
    with pytest.raises(ConesError, match='did you mean "bccd"'):
        cells_of(plan, ["table1"], ["bcdd"])


def test_finished_cells_cost_nothing_more(here):
    plan = Plan.load("miniature")
    whole = forecast(plan, ["table1"], datasets=["bccd"], tflops=30)
    assert (whole.cells, whole.done, set(whole.seconds)) == (7, 0, {"cpu"})
    finished(plan, plan.cell("glip_nano", "bccd", "full_finetuning", 0))
    rest = forecast(plan, ["table1"], datasets=["bccd"], tflops=30)
    assert (rest.cells, rest.done, set(rest.seconds)) == (7, 1, {"cpu"})
    assert rest.seconds["cpu"][1] < whole.seconds["cpu"][1]
    again = forecast(plan, ["table1"], datasets=["bccd"], tflops=30, from_scratch=True)
    assert again.done == 0 and set(again.seconds) == {"cpu", "GPU X"}
    assert whole.jobs == rest.jobs == again.jobs


def test_the_paper_suite_says_what_must_be_downloaded_and_what_placed_by_hand(here, monkeypatch):
    for name in ("KAGGLE_USERNAME", "KAGGLE_KEY", "KAGGLE_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    plan = Plan.load("paper")
    found = forecast(plan, tflops=30)
    states = {source.name: source.state for source in found.sources}
    assert states["bccd"] == states["glip_t"] == "to fetch"
    assert "dfuc2020" in [source.name for source in found.by_hand] and states["dfuc2020"] == "needs form"
    (uninext,) = (source for source in found.by_hand if source.name == "uninext_r50")
    assert uninext.state == "needs a browser" and "sharepoint.com" in uninext.reason
    assert (
        "checkpoints/official/uninext_image_joint_r50.pth" in uninext.reason and "CONES_UNINEXT_R50" in uninext.reason
    )
    glip = next(source for source in found.sources if source.name == "glip_t")
    assert (glip.bytes, glip.is_exact, glip.kind) == (3_710_104_213, True, "checkpoint")
    own = len(plan.all_cells(on_request=False)) + len(plan.subject_cells())
    assert found.download_bytes > 10e9 and found.cells == own
    most = [next(iter(forecast(plan, tflops=speed).seconds.values()))[1] for speed in (30, 15, 1e9)]
    assert most[1] - most[2] == pytest.approx(2 * (most[0] - most[2]), rel=1e-3)  # but for the start of the jobs


def test_a_checkpoint_that_a_person_has_placed_waits_for_nobody(here):
    place = Path("checkpoints/official/uninext_image_joint_r50.pth")
    place.parent.mkdir(parents=True)
    place.touch()
    found = forecast(Plan.load("paper"), ["table2"], tflops=30)
    assert "uninext_r50" not in [source.name for source in found.by_hand]


def test_own_files_of_unknown_number_are_in_no_sum(here, monkeypatch, tmp_path):
    monkeypatch.setenv("CONES_FUSEG", str(tmp_path / "nothing"))
    found = forecast(Plan.load("fuseg"), tflops=30)
    assert found.cells and all(line.unknown == line.cells for line in found.lines)
    assert found.seconds == {} and [source.state for source in found.by_hand] == ["no folder"]


def test_the_command_prints_a_table_or_json(here, monkeypatch):
    monkeypatch.delenv("CONES_SUITE", raising=False)
    said = CliRunner().invoke(app, ["plan", "results/table2.csv", "--epochs", "3"]).output
    assert "uninext_nano" in said and "57, of which 0 are done" in said and "114 tune" not in said
    document = json.loads(CliRunner().invoke(app, ["plan", "table2", "--json"]).output)
    assert (document["cells"], document["parts"], document["jobs"]["tune"]) == (57, ["table2"], 57)
    assert document["seconds"]["cpu"][0] < document["seconds"]["cpu"][1]


def test_several_gpus_share_what_one_would_take(here, monkeypatch):
    monkeypatch.delenv("CONES_SUITE", raising=False)
    asked = ["plan", "table2", "--suite", "paper", "--epochs", "12"]
    of = {gpus: CliRunner().invoke(app, [*asked, "--gpus", gpus]).output for gpus in ("1", "4")}
    hours = [float(number) for number in re.findall(r"([\d.]+) h on", of["4"])]
    assert "of them" not in of["1"] and re.search(r"h on 4 of them, as long as each has a job", of["4"])
    assert hours[1] == pytest.approx(hours[0] / 4, rel=0.05)
