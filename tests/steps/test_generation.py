"""A subject from its pictures to its numbers by the commands alone, on a tiny random pipeline and a made dataset."""

import json
import shutil

import pytest
import torch
import yaml
from flow import ROOT
from models.tiny_diffusion import saved
from PIL import Image
from typer.testing import CliRunner

from cones.cli.main import app
from cones.evaluation.generation_metrics import read_generation_metrics
from cones.experiment.cell import Plan
from cones.experiment.pipeline import Pipeline
from cones.experiment.step import Job
from cones.miniature.icon_classifier import IconClassifier
from cones.miniature.icons import Icon, paint_icon
from cones.miniature.painter import generator_of
from cones.outputs.files import read_csv
from cones.outputs.make import make_output
from cones.runtime.artifacts import read_json, save_tensors, write_json
from cones.runtime.errors import ConesError
from tests.made import made_by

SUBJECTS = {"rex": ("dog", "red"), "max": ("dog", "blue"), "ming": ("vase", "green")}
PROMPTS = {"live": ["a {0} {1} in the snow", "a red {0} {1}"], "object": ["a {0} {1} on the beach"]}
SUITE = {
    "like": "miniature",
    "suite": "three",
    "registry": ["config/three_datasets.yaml"],
    "grids": {},
    "generation": {
        "model": "sd_nano",
        "dataset": "three",
        "arms": {
            "zero_shot": None,
            "textual_inversion": None,
            "cones": {"tuning": {"mode": "bos"}},
            "cones_finetuned": {"tuning": {"learning_rate": 1e-3}},
            "prompt_tuning": None,
        },
        "tuning": {"steps": 2, "accumulation": 1, "guidance": 2.0, "sampling_steps": 2, "tokens": 2},
        "pictures": {"reconstruction": 3, "editing": 2},
        "figure3": ["rex"],
    },
}
DATASET = {
    "paper_name": "Three",
    "group": "generation",
    "task": "personalised_generation",
    "classes": list(SUBJECTS),
    "home": "nowhere",
    "licence": "made here",
    "access": "open",
    "sources": {
        "miniature": {
            "folder": "here",
            "format": {"name": "dreambooth"},
            "split": {"rule": "as_shipped", "shipped": {"train": "train"}},
        }
    },
}


def prepared(manifest):
    """The dataset as its step leaves it."""
    write_json("data/miniature/three/manifest.json", manifest)
    made_by(Plan.load("three"))


@pytest.fixture
def world(tmp_path, monkeypatch):
    """The folder the commands run in: a prepared dataset of three subjects, and a pipeline directory `nano`."""
    monkeypatch.chdir(tmp_path)
    return made_world(tmp_path)


def made_world(folder):
    (folder / "datasets.yaml").symlink_to(ROOT / "datasets.yaml")
    (folder / "config").mkdir()
    for name in ("miniature.yaml", "datasets"):
        (folder / "config" / name).symlink_to(ROOT / "config" / name)
    (folder / "config/three_datasets.yaml").write_text(yaml.safe_dump({"three": DATASET}))
    (folder / "config/three.yaml").write_text(yaml.safe_dump(SUITE, sort_keys=False))
    dataset = folder / "data/miniature/three"
    subjects = {}
    for name, (noun, colour) in SUBJECTS.items():
        (dataset / "raw" / name).mkdir(parents=True)
        for number in range(2):
            icon = Icon(noun, colour, "white", "striped", "in the snow")
            picture = paint_icon(icon, generator_of(f"{name}:{number}"), 40)[0]
            picture.save(dataset / "raw" / name / f"{number}.png")
        kind = "live" if noun == "dog" else "object"
        images = [f"{name}/{number}.png" for number in range(2)]
        subjects[name] = {"class_word": noun, "prompts": kind, "images": images}
    prepared({"status": "ready", "generation": {"subjects": subjects, "prompts": PROMPTS}})
    saved(folder / "nano", text=True)
    torch.manual_seed(0)
    save_tensors(folder / "nano/classifier.safetensors", IconClassifier().state_dict())
    return folder


def run(command, *arguments):
    suite = [] if command == "find" else ["--suite", "three"]
    found = CliRunner().invoke(app, ["generation", command, *suite, *arguments])
    if found.exception and not isinstance(found.exception, SystemExit):
        raise found.exception
    assert found.exit_code == 0, found.output


def prepare():
    run("find", "sd_nano", "--path", "nano")
    run("encode")
    run("look")


def test_from_pictures_to_numbers_and_figures(world):
    prepare()
    for subject in SUBJECTS:
        for arm in ("zero_shot", "textual_inversion", "cones", "cones_finetuned"):
            for step in ("learn", "draw", "score"):
                run(step, "--subject", subject, "--arm", arm)
    folder = world / "results/three/sd_nano/three-rex/cones/seed0"
    tuning = read_json(folder / "tuning.json")
    assert tuning["learning"]["passes"] == 2 and tuning["learning"]["trained_values"] == 2 * 16
    assert set(tuning["weights"]["files"]) >= {"unet/diffusion_pytorch_model.safetensors"}
    said = [one["text"] for one in read_json(folder / "images/editing/prompts.json")]
    assert said == ["a dog in the snow", "a red dog"]
    assert len(list((folder / "images/editing").glob("*.png"))) == 4
    recorded = read_json(folder / "run.json")["sha256"]
    assert len(recorded) == 4 + 2 + 3 + 4 and "images/reconstruction/00_02.png" in recorded
    drawing = read_json(folder / "run.json")["drawing"]
    assert {track: one["pictures"] for track, one in drawing.items()} == {"reconstruction": 3, "editing": 4}
    assert all(one["seconds"] > 0 for one in drawing.values())
    metrics = read_generation_metrics(folder / "metrics.json")
    assert (metrics.cell.dataset, metrics.cell.method, metrics.class_word) == ("three-rex", "cones", "dog")
    track = metrics.tracks["reconstruction"]
    scores = track.by_extractor["icon classifier"]
    assert (track.prompts, track.pictures) == (1, 3) and metrics.tracks["editing"].pictures == 4
    assert scores.other_subject == pytest.approx(scores.to_others["max"]) and set(scores.to_others) == {"max", "ming"}
    assert scores.margin == pytest.approx(scores.fidelity - scores.other_subject) and scores.text is None
    alone = read_generation_metrics(world / "results/three/sd_nano/three-ming/cones/seed0/metrics.json")
    assert alone.tracks["reconstruction"].by_extractor["icon classifier"].other_subject is None

    tuned = read_json(world / "results/three/sd_nano/three-rex/cones_finetuned/seed0/tuning.json")
    state = str((folder / "state.safetensors").relative_to(world))
    assert tuned["inputs_sha256"][state] == recorded["state.safetensors"]
    assert tuned["learning"]["trained_values"] > 10_000
    jobs = Pipeline(Plan.load("three")).inputs(Job("learn_subject", subject="rex", arm="cones_finetuned"))
    assert jobs["stage1"].job.arm == "cones"

    make_output(Plan.load("three"), "generation")
    results = world / "results/three"
    _, rows = read_csv(results / "generation.csv")
    shown = [(row["track"], row["arm"], row["status"], row["subjects"]) for row in rows]
    arms = [("zero_shot", "done", "3/3"), ("textual_inversion", "done", "3/3"), ("cones", "done", "3/3")]
    arms += [("cones_finetuned", "done", "3/3"), ("prompt_tuning", "unsupported", "")]
    assert shown == [(track, *arm) for track in ("reconstruction", "editing") for arm in arms]
    assert all(row["own_nearest"].endswith("/3") for row in rows if row["status"] == "done")
    assert {row["own_nearest_of_noun"][-2:] for row in rows if row["status"] == "done"} == {"/2"}
    _, pairs = read_csv(results / "generation_pairs.csv")
    means = {row["arm"]: float(row["fidelity"]) for row in rows[:3]}
    pair = next(p for p in pairs if (p["number"], p["arm"], p["minus"]) == ("fidelity", "cones", "textual_inversion"))
    assert float(pair["mean"]) == pytest.approx(means["cones"] - means["textual_inversion"], abs=2e-4)
    for name in ("figure3.png", "figure3.pdf", "figure6.png", "figure6.pdf"):
        assert (results / name).stat().st_size > 5_000
    page = (results / "generation.md").read_text()
    assert "Prompt tuning" in page and "ConES (stage 2) (bos, 2 vectors)" in page


def test_the_same_steps_give_the_same_bytes_and_other_weights_are_refused(world):
    prepare()
    cell = ["--subject", "rex", "--arm", "cones"]
    folder = world / "results/three/sd_nano/three-rex/cones/seed0"
    made = []
    for _ in range(2):
        for step in ("learn", "draw", "score"):
            run(step, *cell)
        made.append([(folder / name).read_bytes() for name in ("state.safetensors", "metrics.json")])
    assert made[0] == made[1]
    with Image.open(folder / "images/reconstruction/00_00.png") as picture:
        assert picture.size == (16, 16)
    weights = world / "nano/unet/diffusion_pytorch_model.safetensors"
    content = bytearray(weights.read_bytes())
    weights.write_bytes(content + b" ")
    with pytest.raises(ConesError, match=r"gone or has changed.*generation find sd_nano"):
        run("draw", *cell)
    content[-1] ^= 1
    weights.write_bytes(content)
    run("find", "sd_nano", "--path", "nano")
    with pytest.raises(ConesError, match="other base weights"):
        run("draw", *cell)


def test_a_skipped_dataset_is_a_row_with_its_reason(world):
    prepared({"status": "skipped", "reason": "a form is needed"})
    prepare()
    some = {"generation": {"subjects": ["rex", "ming"], "arms": ["zero_shot", "cones"]}}
    for subject in some["generation"]["subjects"]:
        for arm in some["generation"]["arms"]:
            for step in ("learn", "draw", "score"):
                run(step, "--subject", subject, "--arm", arm, "--set", json.dumps(some))
    make_output(Plan.load("three", some), "generation")
    _, rows = read_csv(world / "results/three/generation.csv")
    assert {row["notes"] for row in rows if row["arm"] == "zero_shot"} == {"skipped: a form is needed"}
    assert {row["subjects"] for row in rows if row["arm"] == "cones"} == {"0/2"}


FEW = {"generation": {"subjects": ["rex", "ming"], "arms": ["zero_shot"], "pictures": {"editing": 1}}}


@pytest.fixture(scope="module")
def scored(tmp_path_factory):
    """A folder with two scored subjects of one arm."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder := tmp_path_factory.mktemp("scored"))
        made_world(folder)
        prepare()
        for subject in ("rex", "ming"):
            for step in ("learn", "draw", "score"):
                run(step, "--subject", subject, "--arm", "zero_shot", "--set", json.dumps(FEW))
    return folder


@pytest.fixture
def few(scored, tmp_path, monkeypatch):
    """The same in a folder of the test's own; what `make` is asked for them."""
    shutil.copytree(scored, tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return Plan.load("three", FEW)


def test_tables_and_figures_refuse_cells_that_are_not_as_recorded(few):
    make_output(few, "generation")
    rex, ming = (few.subject_cell(name, "zero_shot", 0).folder for name in ("rex", "ming"))
    for path, words in (
        (rex / "metrics.json", "is not the file that run.json records"),
        (rex / "images/editing/00_00.png", "is not the file that run.json records"),
        (few.data_folder("three") / "raw/rex/0.png", f"changed after {rex} was made of it"),
        (few.text_states("sd_nano", "three"), f"changed after {rex} was made of it"),
    ):
        before = path.read_bytes()
        path.write_bytes(before + b"\n")
        with pytest.raises(ConesError, match=f"{path}: {words}.*; next: "):
            make_output(few, "generation")
        make_output(few, "generation", partial=True)
        _, rows = read_csv("results/three/generation_cells.partial.csv")
        refused = {row["subject"]: row["reason"] for row in rows if row["status"] == "failed"}
        assert words in refused["rex"] and ("ming" in refused) == (path.name == "text.safetensors")
        path.write_bytes(before)
    shutil.rmtree(rex)
    shutil.copytree(ming, rex)
    with pytest.raises(ConesError, match=r"three-rex.*dataset is that of another cell; expected three-rex"):
        make_output(few, "generation")


def test_a_subject_that_failed_is_left_out_with_its_reason(few, monkeypatch):
    ming = few.subject_cell("ming", "zero_shot", 0)
    (ming.folder / "metrics.json").unlink()
    ming.logs.mkdir(parents=True)
    (ming.logs / "score.log").write_text("error: out of memory; next: another device\n")
    told = {}
    monkeypatch.setattr(
        "cones.outputs.subject_figures.save_subjects",
        lambda rows, heads, png, note, **how: told.update({png.stem: ([row.name for row in rows], note)}) or [png],
    )
    make_output(few, "generation")
    assert told["figure3"][0] == ["rex"] and "Not shown" not in told["figure3"][1]
    assert told["figure6"][0] == []
    assert "Not shown: ming (error: out of memory; next: another device)." in told["figure6"][1]
    _, rows = read_csv("results/three/generation_cells.csv")
    assert [row["reason"] for row in rows if row["subject"] == "ming"] == ["error: out of memory; next: another device"]


def test_faults_end_in_one_line(world):
    with pytest.raises(ConesError, match=r"sd_nano.json: file is missing"):
        run("encode")
    prepare()
    with pytest.raises(ConesError, match=r'subject "rexx" is not in the suite.*rex'):
        run("learn", "--subject", "rexx", "--arm", "cones")
    with pytest.raises(ConesError, match=r'arm that draws "prompt_tuning" is not in the suite'):
        run("learn", "--subject", "rex", "--arm", "prompt_tuning")
    overrides = json.dumps({"generation": {"arms": {"cones": {"tuning": {"accumulation": 0}}}}})
    with pytest.raises(ConesError, match=r"tuning of arms.cones: accumulation"):
        run("learn", "--subject", "rex", "--arm", "cones", "--set", overrides)
    run("learn", "--subject", "rex", "--arm", "zero_shot")
    with pytest.raises(ConesError, match=r"drawing.json: file is missing"):
        run("score", "--subject", "rex", "--arm", "zero_shot")
