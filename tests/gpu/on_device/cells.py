"""Cells of nano models on a painted dataset, small enough to be tuned on a pretended GPU in a second or two."""

import os
from pathlib import Path

from toy import paint_split

from cones.data.pyramids import FrozenPyramids
from cones.experiment.cell import Cell, Plan
from cones.experiment.suite import load_suite
from cones.runtime.artifacts import read_json, sha256, write_json
from cones.steps.text import encode_class_names
from cones.steps.tune import tune_cell
from cones.steps.weights import make_weights
from cones.weights.shipped import shipped

DATASET = "bccd"  # by name; what is in it is painted
GRIDS = ("table1", "table3")  # the second asks `embed` for the features of boxes
SPLITS = {"train": 4, "val": 5, "test": 3}
CLASSES = ("red", "green", "blue")
TUNING = {
    "max_epochs": 2,
    "batch_size": 4,
    "micro_batch": 2,  # two passes a step
    "train_short_sides": [96],
    "warmup_steps": 0,
}
RATES = {
    "linear_probing": 1e-2,
    "textual_inversion": 1e-2,
    "prompt_tuning": 1e-2,
    "cones": 1e-2,
    "full_finetuning": 1e-4,
    "cones_finetuned": 1e-4,
    **dict.fromkeys(("tip_adapter_f", "prograd", "lasp", "variational", "plot", "upl", "dualcoop"), 1e-2),
}


class SomeKept(FrozenPyramids):
    """Keeps the image features of some pictures in the memory of the host, as if the budget were spent then: a pass
    has features from there and others that were computed just now."""

    def _pyramid(self, sample):
        self._bytes_left = 2**30 if sample.view.index % 4 == 0 else 0
        return super()._pyramid(sample)


def painted_plan(folder: Path, model: str, arms: list[str], /, *, masks: bool = False, **overrides) -> Plan:
    """The suite `miniature` cut to one model and a painted dataset, which lies in `folder`; also the working directory
    from here on. Base weights and the text states are there."""
    grid = {"models": [model], "datasets": [DATASET], "arms": arms}
    seed = {} if shipped(model) else {"initial_seed": 0}
    known = {name: arm and arm.model_dump(exclude_unset=True) for name, arm in load_suite("miniature").arms.items()}
    plan = Plan.load(
        "miniature",
        {
            "datasets": [DATASET],
            "models": {model: {"learning_rate": RATES, "tokens_per_class": 2, **seed}},
            "grids": dict.fromkeys(GRIDS, grid),
            "generation": None,
            "feature_cache_gb": 0,
            "device": "gpu",
            "allow_cpu": False,
            "tuning": TUNING,
            "arms": {**known, **{arm: {} for arm in arms if arm not in known}},
            **overrides,
        },
    )
    plan = Plan(
        plan.suite.model_copy(update={"grids": {name: plan.suite.grids[name] for name in GRIDS}}), plan.registry
    )
    os.chdir(folder)
    data = plan.data_folder(DATASET)
    for seed_of_split, (name, images) in enumerate(SPLITS.items()):
        paint_split(data, name, images=images, seed=seed_of_split)
    write_json(
        data / "manifest.json",
        {
            "status": "ready",
            "group": "non_radiology",
            "task": "instance_segmentation" if masks else "detection",
            "detections_per_image": 20,
            "phrases": [{"name": name, "prefix": "", "suffix": ""} for name in CLASSES],
            "manual_phrases": None,
            "splits": {
                name: {"sha256": sha256(data / f"{name}.json"), "images": count, "boxes": count}
                for name, count in SPLITS.items()
            },
        },
    )
    make_weights(plan, model)
    encode_class_names(plan, model, DATASET)
    return plan


def tuned(plan: Plan, cell: Cell) -> dict:
    """The record of a cell that is tuned if it is not yet, after the one whose vectors it fixes."""
    record = cell.folder / "tuning.json"
    if not record.exists():
        for first in plan.cells_before(cell).values():
            tuned(plan, first)
        tune_cell(plan, cell)
    return read_json(record)
