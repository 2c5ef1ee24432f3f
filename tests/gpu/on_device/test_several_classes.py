"""Pictures of several classes on a GPU: positions, known labels, captions; the same scores as on a CPU."""

import math
from pathlib import Path

import pytest
import torch
import yaml

from cones.evaluation.classification_metrics import read_classification_metrics
from cones.experiment.cell import Plan
from cones.experiment.classification_cells import classification_cell, features_file
from cones.runtime.artifacts import load_tensors, read_json
from cones.runtime.sources import ROOT
from cones.steps.classified_cell import classify_cell
from cones.steps.encode_images import encode_images
from cones.steps.weights import make_weights
from tests.gpu.on_device.classified import MODEL, ON_GPU, SHORT
from tests.some_fast import fast
from tests.steps.tiny_cells import run
from tests.tiny_scenes import draw_scenes, scenes_entry
from tests.tiny_sets import tiny_suite, write_tiny

KINDS = ("pooled", "regions", "regions_unplaced")
PROMPTS = {"recipe": {**SHORT, "options": {"vectors": 2}}}
ARMS = {
    "zero_shot": None,
    "linear_probing": None,
    "taskres": {"recipe": SHORT},
    "cones": {"recipe": SHORT},
    "dualcoop": PROMPTS,
    "tai_dpt": PROMPTS,
}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """The plan on the GPU and the folder it works in, with all stored features."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("several_classes")
        patch.chdir(folder)
        yield prepared_plan(folder), folder


@pytest.fixture
def plan(world, monkeypatch):
    plan, folder = world
    monkeypatch.chdir(folder)
    return plan


def prepared_plan(folder: Path) -> Plan:
    (folder / "datasets.yaml").symlink_to(ROOT / "datasets.yaml")
    write_tiny(folder)
    draw_scenes(folder / "own/scenes")
    (folder / "config/tiny_sets.yaml").write_text(yaml.safe_dump({"scenes": scenes_entry()}))
    grids = {"survey_multi_label": {"setting": "multi_label", "labels": [50]}}
    suite = tiny_suite(arms=ARMS, datasets=["scenes"], seeds=[1], grids=grids)
    (folder / "config/tiny.yaml").write_text(yaml.safe_dump(suite, sort_keys=False))
    for step in ("fetch", "prepare"):
        run(step, "--dataset", "scenes")
    plan = Plan.load("tiny", ON_GPU)
    make_weights(plan, MODEL)
    for kind in KINDS:
        encode_images(plan, MODEL, "scenes", kind)
    return plan


def test_positions_are_those_of_a_cpu(plan):
    files = [features_file(plan, MODEL, "scenes", kind) for kind in KINDS]
    on_gpu = [dict(load_tensors(file)[0]) for file in files]
    on_cpu = Plan.load("tiny", {"device": "cpu"})
    for kind, file, tensors in zip(KINDS, files, on_gpu, strict=True):
        encode_images(on_cpu, MODEL, "scenes", kind)
        torch.testing.assert_close(tensors, dict(load_tensors(file)[0]), rtol=1e-2, atol=1e-2)
        encode_images(plan, MODEL, "scenes", kind)


@pytest.mark.parametrize("arm", fast(ARMS, "dualcoop", "tai_dpt"))
def test_a_method_is_fitted_and_scored(plan, arm):
    cell = classification_cell(plan, MODEL, "scenes-labels50", arm, 1)
    classify_cell(plan, cell)
    record = read_json(cell.folder / "tuning.json")
    assert record["device"] == "cuda:0" and bool(record["runs"]) == (ARMS[arm] is not None)
    losses = [epoch["loss"] for each in record["runs"] for epoch in each["history"]]
    assert all(math.isfinite(loss) for loss in losses)
    metrics = read_classification_metrics(cell.folder / "metrics.json")
    assert metrics.status == "done" and metrics.targets["scenes"].mean_ap > 0
