"""The published sizes on a GPU, from random weights: one optimiser step, validation and scores of small pictures."""

import math
import os

import pytest

from cones.evaluation.metrics import read_metrics
from cones.steps.evaluate import evaluate_cell
from tests.gpu.device import VARIABLE
from tests.gpu.on_device.cells import DATASET, RATES, TUNING, painted_plan, tuned

SIDE = 96
CASES = [("glip_t", "cones"), ("uninext_r50", "cones"), ("gdino_t", "full_finetuning")]
ON_A_REAL_ONE = [  # these take minutes each on a pretended GPU, whose arithmetic is the CPU's
    ("glip_t", "full_finetuning"),
    ("glip_l", "cones"),
    ("uninext_r50", "full_finetuning"),
    ("gdino_t", "cones"),
    ("mm_gdino_t", "cones"),
    ("llmdet_t", "prompt_tuning"),
]
if os.environ.get(VARIABLE) == "real":
    CASES += ON_A_REAL_ONE
AS_PUBLISHED = {"glip": "float16", "unin": "float32"}  # the other families in bfloat16


@pytest.mark.slow
@pytest.mark.parametrize(("model", "method"), CASES)
def test_one_step_of_a_full_size_model(tmp_path, monkeypatch, model, method):
    monkeypatch.chdir(".")  # `painted_plan` leaves it for the test's folder
    settings = {"learning_rate": RATES, "tokens_per_class": 2, "initial_seed": 0, "test_short_side": SIDE}
    plan = painted_plan_of(tmp_path, model, method, settings)
    cell = plan.cell(model, DATASET, method, 0)
    record = tuned(plan, cell)
    assert record["device"] == "cuda:0" and record["precision"] == AS_PUBLISHED.get(model[:4], "bfloat16")
    assert record["steps"] == 1 and record["micro_batch"] == 1
    assert all(math.isfinite(loss) for loss in record["history"][0]["losses"].values())
    evaluate_cell(plan, cell)
    assert read_metrics(cell.folder / "metrics.json").scores["bbox"].images == 2


def painted_plan_of(folder, model: str, method: str, settings: dict):
    """The plan of one cell, from the repository's config."""
    budget = {**TUNING, "max_epochs": 1, "max_steps": 1, "batch_size": 2, "micro_batch": 1, "train_short_sides": [SIDE]}
    masks = model.startswith("uninext")
    return painted_plan(folder, model, [method], masks=masks, models={model: settings}, tuning=budget, pictures=2)
