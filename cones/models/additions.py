"""What a tuning method adds to a model: tokens before a module, adapters behind it, low-rank weights in it."""

from typing import Literal

from torch import nn
from torch.nn.utils import parametrize

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

    changes  "output": the module gives `addition(output, *inputs)` instead of `output`: adapters
             "input": it receives `addition(*inputs)` instead of its inputs: tokens

    The model's own parameters keep their names; those of the addition are "model.<place>.<name>.…" and may train even
    inside a part that no method trains. Raises `ConesError` for a place that the model does not have or a name that is
    taken there.
    """
    target = _module_at(model, place)
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


def add_to_weight(model: GroundedDetector | DualEncoder, place: str, addition: nn.Module) -> None:
    """The linear layer at `place` has `addition(weight)` instead of its weight (out, in), whoever reads it: the fusion
    does not always call its layers, it may multiply their weights into each other.

    What it had is "model.<place>.parametrizations.weight.original" from here on; parameters of the addition are
    "model.<place>.parametrizations.weight.0.…". Raises `ConesError` for a place that the model does not have.
    """
    parametrize.register_parametrization(_module_at(model, place), "weight", addition)
    model.additions = (*model.additions, f"{place}.parametrizations.weight.0.")


def _module_at(model: GroundedDetector | DualEncoder, place: str) -> nn.Module:
    modules = dict(model.named_modules())
    if place not in modules:
        raise ConesError(
            f'the model has no module "{place}"', where=type(model).__name__, next_step=closest(place, modules)
        )
    return modules[place]
