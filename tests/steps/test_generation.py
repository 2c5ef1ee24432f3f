"""A subject from its pictures to its numbers by the commands alone, on a tiny random pipeline and a made dataset."""

import json

import pytest
import torch
from conftest import ROOT
from models.tiny_diffusion import saved
from PIL import Image
from typer.testing import CliRunner

from cones.artifacts import read_json, save_tensors, write_json
from cones.cli import app
from cones.errors import ConesError
from cones.evaluation.generation_metrics import read_generation_metrics
from cones.miniature.icon_classifier import IconClassifier
from cones.miniature.icons import Icon, paint_icon
from cones.miniature.painter import generator_of

SETTINGS = {"steps": 2, "accumulation": 1, "guidance": 2.0, "sampling_steps": 2, "mode": "bos", "tokens": 2}
SUBJECTS = {"rex": ("dog", "red"), "max": ("dog", "blue"), "ming": ("vase", "green")}
PROMPTS = {"live": ["a {0} {1} in the snow", "a red {0} {1}"], "object": ["a {0} {1} on the beach"]}


@pytest.fixture
def world(tmp_path, monkeypatch):
    """The folder the commands run in: a prepared dataset of three subjects, and a pipeline directory `nano`."""
    monkeypatch.chdir(tmp_path)
    for name in ("config", "datasets.yaml"):
        (tmp_path / name).symlink_to(ROOT / name)
    dataset = tmp_path / "data/miniature/dreambooth"
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
    write_json(dataset / "manifest.json", {"status": "ready", "generation": {"subjects": subjects, "prompts": PROMPTS}})
    saved(tmp_path / "nano", text=True)
    torch.manual_seed(0)
    save_tensors(tmp_path / "nano/classifier.safetensors", IconClassifier().state_dict())
    return tmp_path


def run(command, *arguments):
    model = [] if command == "join" else ["--path", "nano"]
    line = ["generation", command, "--suite", "miniature", "--model", "sd_nano", *model, *arguments]
    found = CliRunner().invoke(app, line)
    if found.exception and not isinstance(found.exception, SystemExit):
        raise found.exception
    assert found.exit_code == 0, found.output


def learn(subject, method, *arguments):
    run("learn", "--subject", subject, "--method", method, "--settings", json.dumps(SETTINGS), *arguments)


def test_from_pictures_to_numbers(world):
    run("encode")
    for subject in ("rex", "ming"):
        for method in ("zero_shot", "textual_inversion", "cones"):
            cell = ["--subject", subject, "--arm", method]
            learn(subject, method)
            run("draw", *cell, "--pictures", "3")
            run("draw", *cell, "--track", "editing", "--pictures", "2")
            run("score", *cell)
    folder = world / "results/miniature/sd_nano/dreambooth-rex/cones/seed0"
    tuning = read_json(folder / "tuning.json")
    assert tuning["learning"]["passes"] == 2 and tuning["learning"]["trained_values"] == 2 * 16
    assert set(tuning["weights"]["files"]) >= {"unet/diffusion_pytorch_model.safetensors"}
    said = [one["text"] for one in read_json(folder / "images/editing/prompts.json")]
    assert said == ["a dog in the snow", "a red dog"]
    assert len(list((folder / "images/editing").glob("*.png"))) == 4
    metrics = read_generation_metrics(folder / "metrics.json")
    assert (metrics.cell.dataset, metrics.cell.method) == ("dreambooth-rex", "cones")
    track = metrics.tracks["reconstruction"]
    scores = track.by_extractor["icon classifier"]
    assert (track.prompts, track.pictures) == (1, 3) and metrics.tracks["editing"].pictures == 4
    assert scores.margin == pytest.approx(scores.fidelity - scores.other_subject) and scores.text is None
    alone = read_generation_metrics(world / "results/miniature/sd_nano/dreambooth-ming/cones/seed0/metrics.json")
    assert alone.tracks["reconstruction"].by_extractor["icon classifier"].other_subject is None

    run("join")
    rows = read_json(world / "results/miniature/sd_nano/generation_seed0.json")
    fidelity = [row for row in rows if (row["track"], row["number"]) == ("reconstruction", "fidelity")]
    assert [(row["arm"], row.get("minus")) for row in fidelity] == [
        ("cones", None),
        ("textual_inversion", None),
        ("textual_inversion", "cones"),
        ("zero_shot", None),
        ("zero_shot", "cones"),
        ("zero_shot", "textual_inversion"),
    ]
    assert {row["count"] for row in fidelity} == {2}
    means = {row["arm"]: row["mean"] for row in fidelity if "minus" not in row}
    assert fidelity[2]["mean"] == pytest.approx(means["textual_inversion"] - means["cones"])


def test_the_same_steps_give_the_same_bytes_and_other_weights_are_refused(world):
    run("encode")
    cell = ["--subject", "rex", "--arm", "mine"]
    made = []
    for _ in range(2):
        learn("rex", "cones", "--arm", "mine")
        run("draw", *cell, "--pictures", "1")
        run("score", *cell)
        folder = world / "results/miniature/sd_nano/dreambooth-rex/mine/seed0"
        made.append([(folder / name).read_bytes() for name in ("state.safetensors", "metrics.json")])
    assert made[0] == made[1]
    with Image.open(folder / "images/reconstruction/00_00.png") as picture:
        assert picture.size == (16, 16)
    weights = world / "nano/unet/diffusion_pytorch_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ConesError, match="other base weights"):
        run("draw", *cell)


def test_faults_end_in_one_line(world):
    run("encode")
    with pytest.raises(ConesError, match=r"no such subject.*rex"):
        learn("rexx", "cones")
    with pytest.raises(ConesError, match="no head to probe"):
        learn("rex", "linear_probing")
    with pytest.raises(ConesError, match=r"settings.*accumulation"):
        run("learn", "--subject", "rex", "--method", "cones", "--settings", '{"accumulation": 0}')
    learn("rex", "zero_shot")
    with pytest.raises(ConesError, match="nothing has been drawn"):
        run("score", "--subject", "rex", "--arm", "zero_shot")
    with pytest.raises(ConesError, match="no scored subject"):
        run("join")
