"""Dense cells on a GPU: the same answers as on a CPU."""

import shutil
from pathlib import Path

import pytest

from cones.evaluation.classification_metrics import read_classification_metrics
from cones.experiment.cell import Plan
from cones.experiment.classification_cells import classification_cell
from cones.runtime.artifacts import read_json
from cones.runtime.sources import ROOT
from cones.steps.classified_cell import classify_cell
from cones.steps.weights import make_weights
from tests.gpu.on_device.classified import ON_GPU
from tests.some_fast import fast
from tests.steps.tiny_cells import run
from tests.tiny_maps import ARMS, write_tiny_maps

MODEL, SETTING = "clip_nano", "walls-dense4"


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The folder with the prepared set and base weights."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("dense")
        patch.chdir(folder)
        (folder / "datasets.yaml").symlink_to(ROOT / "datasets.yaml")
        write_tiny_maps(folder)
        for step in ("fetch", "prepare"):
            run(step, "--dataset", "walls")
        make_weights(Plan.load("tiny", ON_GPU), MODEL)
        yield folder


def scored(plan: Plan, arm: str):
    cell = classification_cell(plan, MODEL, SETTING, arm, 1)
    shutil.rmtree(cell.folder, ignore_errors=True)
    classify_cell(plan, cell)
    return read_classification_metrics(cell.folder / "metrics.json"), read_json(cell.folder / "run.json")


@pytest.mark.parametrize("arm", fast((arm for arm in ARMS if arm != "taskres"), "zero_shot", "denseclip"))
def test_answers_are_those_of_a_cpu(world: Path, arm, monkeypatch):
    monkeypatch.chdir(world)
    on_gpu, record = scored(Plan.load("tiny", ON_GPU), arm)
    assert record["device"] != "cpu"
    on_cpu, record = scored(Plan.load("tiny", {"device": "cpu"}), arm)
    assert record["device"] == "cpu"
    one, other = (metrics.targets["walls"] for metrics in (on_gpu, on_cpu))
    assert one.dense.mean_iou == pytest.approx(other.dense.mean_iou, abs=1.0)
    assert one.accuracy == pytest.approx(other.accuracy, abs=1.0)
