"""Cells of nano detectors of every family on a painted dataset, tuned and scored through the steps, on the CPU."""

from pathlib import Path

from cones.experiment.cell import Cell, Plan
from cones.experiment.suite import load_suite
from cones.runtime.artifacts import read_json
from cones.steps.evaluate import evaluate_cell
from tests.gpu.on_device.cells import DATASET, painted_plan, tuned

MODELS = ("glip_nano", "uninext_nano", "grounding_dino_nano")
TUNING = {"max_epochs": 1, "batch_size": 4, "micro_batch": 4, "train_short_sides": [96], "warmup_steps": 0}


def plan_of(folder: Path, model: str, arms: dict[str, dict], **overrides) -> Plan:
    """Arms by name with what they say; those that the suite `miniature` has may say nothing."""
    overrides = {"device": "cpu", "allow_cpu": True, "tuning": TUNING, **overrides}
    known = {name: arm.model_dump(exclude_unset=True) for name, arm in load_suite("miniature").arms.items()}
    return painted_plan(folder, model, list(arms), masks=model == "uninext_nano", arms={**known, **arms}, **overrides)


def cell_of(plan: Plan, arm: str) -> Cell:
    (model,) = plan.suite.grid("table1")[0]
    return plan.cell(model, DATASET, arm, 0)


def scored(plan: Plan, arm: str) -> list[dict]:
    """What a cell found in the test pictures, after it and those before it were tuned; each is done once."""
    cell = cell_of(plan, arm)
    predictions = cell.folder / "predictions.json"
    if not predictions.exists():
        tuned(plan, cell)
        evaluate_cell(plan, cell)
    return read_json(predictions)
