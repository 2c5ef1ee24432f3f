"""Step `weights`: the base weights of a model as one safetensors file."""

from cones.artifacts import save_tensors
from cones.cell import Plan
from cones.errors import ConesError
from cones.progress import log


def make_weights(plan: Plan, model: str) -> None:
    """Seeded random weights where the suite asks for them (`initial_seed`)."""
    from cones.models.checkpoints import initial_state

    seed = plan.suite.models[model].initial_seed
    if seed is None:
        raise ConesError(
            f"no base weights are known for {model}",
            where=plan.weights(model),
            next_step="set models.<name>.initial_seed, or put a converted checkpoint there",
        )
    digest = save_tensors(plan.weights(model), initial_state(model, seed), {"recipe": f"random weights, seed {seed}"})
    log.info("%s: random weights of seed %d, sha256 %s", plan.weights(model), seed, digest)
