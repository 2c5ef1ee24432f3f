"""Shared image features: a cell with them is, byte for byte, the cell without, and its image encoder hardly runs."""

import pytest

from cones.data.pyramid_file import PyramidFile, tensors_file
from cones.experiment.cell import Plan
from cones.miniature.archives import draw
from cones.models.glip.detector import GLIP
from cones.steps.data import fetch_dataset, prepare_dataset
from cones.steps.evaluate import evaluate_cell
from cones.steps.features import compute_features
from cones.steps.tune import tune_cell
from cones.steps.weights import make_weights

MODEL, DATASET = "glip_nano", "raccoon"
OVERRIDES = {
    "grids": {"table1": {"models": [MODEL], "datasets": [DATASET], "arms": ["cones", "cones-n1"]}},
    "tuning": {"max_epochs": 2, "shots": 3},
    "feature_cache_gb": 0.1,
    "models": {
        MODEL: {"start_std": {"cones": 1.0}}
    },  # not measured on the class names' states, which no step makes here
}


@pytest.fixture
def encoded(monkeypatch):
    """How many images went into each pass through the image encoder."""
    passes, encode = [], GLIP.encode_image
    monkeypatch.setattr(
        GLIP, "encode_image", lambda self, images: passes.append(len(images.sizes)) or encode(self, images)
    )
    return passes


def results(plan: Plan) -> dict[str, bytes]:
    cell = next(plan.cells("table1"))
    tune_cell(plan, cell)
    evaluate_cell(plan, cell)
    return {
        name: (cell.folder / name).read_bytes() for name in ("state.safetensors", "metrics.json", "predictions.json")
    }


def test_a_cell_is_the_same_with_and_without_shared_features(tmp_path, monkeypatch, encoded):
    plan = Plan.load("miniature", OVERRIDES)
    monkeypatch.chdir(tmp_path)
    draw(plan.registry[DATASET], plan.suite.data_dir)
    fetch_dataset(plan, DATASET)
    prepare_dataset(plan, DATASET)
    make_weights(plan, MODEL)
    without = results(plan)
    alone = sum(encoded)
    assert alone > 10
    encoded.clear()
    compute_features(plan, MODEL, DATASET)
    index = plan.features(MODEL, DATASET)
    views = len(PyramidFile(index).views)
    assert views == sum(encoded) >= alone
    encoded.clear()
    assert results(plan) == without
    assert len(encoded) == 3, "the first of train, val and test is compared"

    # half of them fit
    half = tensors_file(index).stat().st_size / 2e9 * len(plan.sharing)  # each gets its share of the budget
    small = Plan(plan.suite.model_copy(update={"feature_cache_gb": half}), plan.registry)
    compute_features(small, MODEL, DATASET)
    assert 0 < len(PyramidFile(index).views) <= views / 2
    encoded.clear()
    assert results(small) == without
    assert 3 < sum(encoded) < alone
