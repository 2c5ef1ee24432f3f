"""The commands of classification on the suite `tiny`, in one process, and its cells read back."""

from pathlib import Path

from typer.testing import CliRunner

from cones.cli.main import app
from cones.evaluation.classification_metrics import read_classification_metrics
from cones.experiment.cell import Plan
from cones.experiment.classification_cells import classification_cell
from cones.runtime.artifacts import load_tensors, read_json
from cones.runtime.sources import ROOT
from cones.steps.classify import CellFit
from cones.steps.score_classifier import score
from cones.steps.what_trained import own_tensors
from tests.tiny_sets import write_tiny


def run(*words):
    found = CliRunner().invoke(app, [*words, "--suite", "tiny"])
    if found.exception and not isinstance(found.exception, SystemExit):
        raise found.exception
    assert found.exit_code == 0, found.output


def prepare(folder: Path, *features, datasets, **suite):
    """In `folder`, where the commands run: the suite, its prepared sets, random weights, the sets' features."""
    (folder / "datasets.yaml").symlink_to(ROOT / "datasets.yaml")
    write_tiny(folder, datasets=datasets, **suite)
    for dataset in datasets:
        for step in ("fetch", "prepare"):
            run(step, "--dataset", dataset)
    run("weights", "--model", "clip_nano")
    for dataset in datasets:
        encode(*features, dataset=dataset)


def encode(*kinds, dataset="shapes"):
    for kind in kinds:
        run("classification", "encode", kind, "--model", "clip_nano", "--dataset", dataset)


def fit(arm, setting="shapes-2shot", seed=1):
    """Fit a cell by its command; returns (its folder, its metrics)."""
    run(
        *("classification", "fit", "--model", "clip_nano", "--setting", setting, "--arm", arm, "--seed", str(seed)),
    )
    folder = classification_cell(Plan.load("tiny"), "clip_nano", setting, arm, seed).folder
    return folder, read_classification_metrics(folder / "metrics.json")


def made_again(arm, setting="shapes-2shot"):
    """The cell of an arm before its fit."""
    plan = Plan.load("tiny")
    return CellFit(plan, classification_cell(plan, "clip_nano", setting, arm, 1))


def answers(again):
    """What it says of its first target, as `predictions.json` holds it."""
    target, _ = again.targets()[0]
    return score(again, target, again.classifier, None, None).predictions


def assert_comes_back(folder, arm):
    """Training changed the answers, and the state of a cell gives those that it recorded."""
    recorded, again = read_json(folder / "predictions.json")["shapes"], made_again(arm)
    assert again.reason is None
    assert answers(again)["probability"] != recorded["probability"]  # the same random start, untrained
    state, _ = load_tensors(folder / "state.safetensors")
    assert set(state) == set(own_tensors(again.classifier, again.inputs.encoder))
    again.classifier.load_state_dict(state, strict=False)
    assert answers(again) == recorded
