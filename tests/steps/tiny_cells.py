"""The commands of classification on the suite `tiny`, in one process."""

from typer.testing import CliRunner

from cones.cli.main import app
from cones.evaluation.classification_metrics import read_classification_metrics
from cones.experiment.cell import Plan
from cones.experiment.classification_cells import classification_cell


def run(*words):
    found = CliRunner().invoke(app, [*words, "--suite", "tiny"])
    if found.exception and not isinstance(found.exception, SystemExit):
        raise found.exception
    assert found.exit_code == 0, found.output


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
