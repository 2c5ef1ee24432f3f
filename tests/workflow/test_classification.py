"""Models with two encoders through the real workflow: tiny drawn sets, random weights, one command to every table."""

import json
import shutil

import pytest
from flow import Workflow

from cones.outputs.files import read_csv
from cones.runtime.strict import read_yaml
from tests.once import made_once
from tests.tiny_sets import write_tiny

TINY = ("--config", "suite=tiny")


@pytest.fixture(scope="module")
def surveyed(tmp_path_factory) -> Workflow:
    """The tiny suite, run once from nothing; tests may plan on it, but not change it."""

    def run(folder):
        flow = Workflow(folder)
        write_tiny(folder)
        (folder / "said.txt").write_text(flow.run(*TINY))

    return Workflow(made_once(tmp_path_factory, "surveyed", run))


@pytest.fixture
def own_survey(surveyed, tmp_path) -> Workflow:
    shutil.copytree(surveyed.folder, tmp_path / "own", symlinks=True)
    return Workflow(tmp_path / "own")


def cell(flow, arm, setting="shapes-2shot", seed=1):
    return flow.folder / "results/tiny/clip_nano" / setting / arm / f"seed{seed}"


def test_one_command_ends_in_tables_figures_and_a_report(surveyed):
    results = surveyed.folder / "results"
    _, rows = read_csv(results / "survey.csv")
    assert [(row["arm"], row["datasets"], row["seeds"]) for row in rows] == [
        (arm, "1/1", "2") for arm in ("zero_shot", "cones", "tip_adapter")
    ]
    assert all(0 <= float(row["shapes_accuracy"]) <= 100 for row in rows)
    trained = {row["arm"]: (int(row["trained_values"]), row["text_encoder"]) for row in rows}
    assert trained == {"zero_shot": (0, "0"), "cones": (3 * 128, "0"), "tip_adapter": (0, "0")}
    _, halves = read_csv(results / "survey_base_to_new.csv")
    new = {row["arm"]: row["new_accuracy"] for row in halves if row["dataset"] == "shapes"}
    assert new["zero_shot"] and not new["cones"]  # of one class alone; and no entry for it, which is not 0
    _, shifted = read_csv(results / "survey_shift.csv")
    assert shifted[0]["dark_shapes_accuracy"] and (results / "survey_ranks.csv").exists()
    assert "from base to new" in (results / "report.html").read_text().lower()
    assert "the numbers mean nothing" in (results / "survey.md").read_text()
    for name in ("survey_pareto", "survey_base_to_new"):
        assert (results / f"{name}.pdf").exists()
    said = (surveyed.folder / "said.txt").read_text()
    assert "The table: results/tiny/survey.csv" in said
    assert not (results / "survey_few_shot.csv").exists()


def test_a_finished_run_has_nothing_to_do_and_what_is_on_request_is_made_when_asked_for(surveyed):
    assert "Nothing to be done" in surveyed.run(*TINY)
    planned = surveyed.planned("results/survey_few_shot.csv", *TINY)
    assert planned == {"classify": 2, "survey_few_shot": 1, "publish": 1}  # two shots are there


def test_a_cell_says_how_it_was_made_and_reads_no_text_encoder_that_it_does_not_need(surveyed):
    run = json.loads((cell(surveyed, "cones") / "run.json").read_text())
    assert {"command", "settings", "inputs_sha256", "revision", "versions", "sha256", "tuning"} <= run.keys()
    assert run["settings"]["recipe"] == {"epochs": 3} and run["tuning"]["steps"] == 3
    assert run["tuning"]["text_encoder_was_built"] is False
    assert any("pooled.safetensors" in path for path in run["inputs_sha256"])
    assert not list(cell(surveyed, "cones").glob("resume*"))
    zero = json.loads((cell(surveyed, "zero_shot") / "tuning.json").read_text())
    assert zero["text_encoder_was_built"] is True and zero["runs"] == []


def test_seeds_draw_other_images_and_methods_of_a_seed_the_same(surveyed):
    def drawn(arm, seed):
        return json.loads((cell(surveyed, arm, seed=seed) / "tuning.json").read_text())["train"]

    assert drawn("cones", 1) == drawn("tip_adapter", 1) != drawn("cones", 2)
    assert len(drawn("cones", 1)) == 2 * 3


def test_another_recipe_re_runs_exactly_its_arm(own_survey):
    suite = own_survey.folder / "config/tiny.yaml"
    content = read_yaml(suite)
    content["classification"]["arms"]["cones"]["recipe"]["epochs"] = 4
    suite.write_text(json.dumps(content))
    planned = own_survey.planned("results/survey.csv", *TINY)
    assert planned == {"classify": 2, "survey": 1, "publish": 1}


def test_other_pictures_make_everything_of_theirs_again(own_survey):
    shutil.copy(
        own_survey.folder / "own/shapes/test/red_disc/0.png", own_survey.folder / "own/shapes/test/blue_box/9.png"
    )
    planned = own_survey.planned("results/survey.csv", *TINY)
    assert planned["fetch"] == planned["prepare"] == 1 and planned["classify"] == 6


@pytest.mark.slow
def test_a_cell_that_fails_is_a_hole_with_its_reason(own_survey):
    suite = own_survey.folder / "config/tiny.yaml"
    content = read_yaml(suite)
    content["classification"]["arms"]["tip_adapter"] = {"recipe": {"options": {"alfa": 1}}}
    suite.write_text(json.dumps(content))
    said = own_survey.run("results/survey.csv", *TINY, "--keep-going", check=False)
    assert 'the method has no option "alfa"' in said and "2 of 10 cells have no numbers" in said
    _, rows = read_csv(own_survey.folder / "results/tiny/survey.partial.csv")
    holes = {row["arm"]: row["notes"] for row in rows if row["datasets"] == "0/1"}
    assert list(holes) == ["tip_adapter"] and 'no option "alfa"' in holes["tip_adapter"]
