"""Steps `checkpoint` and `weights`: the base weights of a model as one safetensors file."""

from pathlib import Path

from cones.artifacts import read_json, save_tensors, sha256
from cones.cell import CHECKPOINTS, Plan
from cones.errors import ConesError
from cones.models.official import fetch_official
from cones.progress import log

OFFICIAL = CHECKPOINTS / "official"


def fetch_checkpoint(plan: Plan, name: str) -> None:
    fetch_official(name, OFFICIAL, mirror=Path(plan.suite.mirror) if plan.suite.mirror else None)


def make_weights(plan: Plan, model: str) -> None:
    """Random weights of a seed where the suite asks for them (`initial_seed`), else the official checkpoint converted.

    The checkpoint is held against its record once more, and every one of its names is accounted for.
    """
    from cones.models.checkpoints import convert_official, initial_state

    seed, path = plan.suite.models[model].initial_seed, plan.weights(model)
    if seed is not None:
        state, recipe = initial_state(model, seed), f"random weights, seed {seed}"
    else:
        record = read_json(OFFICIAL / f"{model}.json")
        source = OFFICIAL / record["file"]
        if (found := sha256(source)) != record["sha256"]:
            raise ConesError(
                "changed after it was verified",
                where=source,
                expected=f"sha256 {record['sha256']}",
                found=found,
                next_step="delete it and run again",
            )
        state, recipe = convert_official(model, source), f"{record['file']}, sha256 {record['sha256']}"
    digest = save_tensors(path, state, {"recipe": recipe})
    log.info("%s: %s; sha256 %s", path, recipe, digest)
