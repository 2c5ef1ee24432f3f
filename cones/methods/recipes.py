"""A `Recipe` as PyTorch trains by it: its optimiser, its learning rate at each step, its number of steps."""

from collections.abc import Iterable, Mapping
from math import ceil, cos, pi

import torch
from torch import nn

from cones.methods.classifier import ClassifierMethod
from cones.methods.settings import Recipe

POLY_POWER = 0.9  # mmsegmentation's schedules


def groups_of(method: ClassifierMethod, recipe: Recipe, trained: Mapping[str, nn.Parameter]) -> list[dict]:
    """Parameters by their share of the learning rate, "factor", and by whether they decay: groups of an optimiser."""
    kinds = {name: (method.rate_factor(name), method.decays(name)) for name in trained}
    return [
        {
            "params": [value for name, value in trained.items() if kinds[name] == (factor, is_decayed)],
            "factor": factor,
            "lr": factor * recipe.learning_rate,
            "weight_decay": recipe.weight_decay if is_decayed else 0.0,
        }
        for factor, is_decayed in dict.fromkeys(kinds.values())
    ]


def optimiser_of(recipe: Recipe, parameters: Iterable[nn.Parameter] | list[dict]) -> torch.optim.Optimizer:
    """The recipe's optimiser of parameters or of their groups, at its full learning rate.

    The decay of sgd and adam is part of the gradient and passes through their moments; that of adamw is taken from the
    parameter. Sgd has neither dampening nor Nesterov's step (Dassl's and PyTorch's defaults); betas are 0.9 and 0.999.
    """
    common = {"lr": recipe.learning_rate, "weight_decay": recipe.weight_decay, "fused": True}
    if recipe.optimiser == "sgd":
        return torch.optim.SGD(parameters, momentum=recipe.momentum, **common)
    kind = torch.optim.Adam if recipe.optimiser == "adam" else torch.optim.AdamW
    return kind(parameters, eps=recipe.eps, **common)


def steps_per_epoch(recipe: Recipe, images: int) -> int:
    """Optimiser steps of one epoch over so many images; a last batch that is not full counts."""
    return ceil(images / recipe.batch_size)


def steps_of(recipe: Recipe, images: int) -> int:
    """Optimiser steps of the whole training."""
    steps = recipe.epochs * steps_per_epoch(recipe, images)
    return steps if recipe.max_steps is None else min(steps, recipe.max_steps)


def rate_at(recipe: Recipe, step: int, images: int, factor: float = 1.0) -> float:
    """The learning rate of step `step` (from 0) of a training over `images` images, of a group with a factor.

    As in Dassl, the warm-up's constant rate is that of all groups.

    `cosine` is Dassl's schedule (KaiyangZhou/Dassl.pytorch, dassl/optim/lr_scheduler.py): epochs of warm-up at a
    constant rate, then half a cosine that begins at the full rate and whose length is *all* epochs, so that the last
    epoch is not at zero. `cosine_per_step` is the same step by step. Where `max_steps` cuts the training short, the
    curve is as long as what is left.
    """
    each = steps_per_epoch(recipe, images)
    epoch = step // each
    if epoch < recipe.warmup_epochs:
        return recipe.warmup_rate
    if recipe.schedule == "constant":
        return factor * recipe.learning_rate
    total = steps_of(recipe, images)
    if recipe.schedule == "poly_per_step":
        return factor * recipe.learning_rate * (1 - step / total) ** POLY_POWER
    if recipe.schedule == "cosine":
        along, length = epoch - recipe.warmup_epochs, ceil(total / each)
    else:
        along, length = step - recipe.warmup_epochs * each, total
    return factor * recipe.learning_rate * (1 + cos(pi * along / length)) / 2
