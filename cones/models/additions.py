"""What a tuning method adds to a model: tokens before a module, adapters behind it, low-rank weights beside it."""

from typing import Literal

from torch import nn

from cones.models.detector import GroundedDetector
from cones.models.dual_encoder import DualEncoder
from cones.runtime.errors import ConesError, closest


def add_module(
    model: GroundedDetector | DualEncoder,
    place: str,
    name: str,
    addition: nn.Module,
    *,
    changes: Literal["input", "output"],
) -> None:
    """Make `addition` the child `name` of the module at `place` (a dotted name, such as "backbone.body.layers.3").

    changes  "output": the module gives `addition(output, *inputs)` instead of `output`: adapters, low-rank weights
             "input": it receives `addition(*inputs)` instead of its inputs: tokens

    The model's own parameters keep their names; those of the addition are "model.<place>.<name>.…" and may train even
    inside a part that no method trains. Raises `ConesError` for a place that the model does not have or a name that is
    taken there.
    """
    modules = dict(model.named_modules())
    if place not in modules:
        raise ConesError(
            f'the model has no module "{place}"', where=type(model).__name__, next_step=closest(place, modules)
        )
    target = modules[place]
    if hasattr(target, name):
        raise ConesError(
            f'"{name}" is the name of something else there', where=place, next_step="give the addition another name"
        )
    target.add_module(name, addition)
    model.additions = (*model.additions, f"{place}.{name}.")
    if changes == "output":
        target.register_forward_hook(lambda module, inputs, output: addition(output, *inputs))
    else:
        target.register_forward_pre_hook(lambda module, inputs: addition(*inputs))
