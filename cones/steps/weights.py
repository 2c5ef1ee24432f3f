"""Steps `checkpoint` and `weights`: the base weights of a model as one safetensors file."""

from pathlib import Path

from cones.experiment.cell import CHECKPOINTS, Plan
from cones.runtime.artifacts import check_sha256, load_tensors, read_json, save_tensors
from cones.runtime.progress import log
from cones.weights.official import fetch_official
from cones.weights.shipped import shipped

OFFICIAL = CHECKPOINTS / "official"


def fetch_checkpoint(plan: Plan, name: str) -> None:
    fetch_official(name, OFFICIAL, mirror=Path(plan.suite.mirror) if plan.suite.mirror else None)


def make_weights(plan: Plan, model: str) -> None:
    """Write the base weights of a model: random ones of a seed where the suite asks for them (`initial_seed`), else
    those that ship with the project, else the official checkpoint converted.

    A file is compared with its record once more, and every name of a checkpoint is accounted for.
    """
    from cones.models.checkpoints import convert_official, initial_state

    seed, path = plan.suite.all_models[model].initial_seed, plan.weights(model)
    if seed is not None:
        state, recipe = initial_state(model, seed), f"random weights, seed {seed}"
    elif files := shipped(model):
        source, record = files[0], read_json(files[1])
        state, metadata = load_tensors(source, expected_sha256=record["sha256"])
        state = {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
        recipe = f"{metadata['recipe']}, sha256 {record['sha256']}"
    else:
        record = read_json(OFFICIAL / f"{model}.json")
        source = OFFICIAL / record["file"]
        check_sha256(source, record["sha256"])
        state, recipe = convert_official(model, source), f"{record['file']}, sha256 {record['sha256']}"
    digest = save_tensors(path, state, {"recipe": recipe})
    log.info("%s: %s; sha256 %s", path, recipe, digest)
