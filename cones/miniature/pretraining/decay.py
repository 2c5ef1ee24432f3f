"""Which parameters of a model decay while it is pretrained: matrices, and nothing else."""

from collections.abc import Iterable

from torch import nn


def matrices_decay(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict]:
    """An optimiser's groups: parameters of two dimensions and more, with weight decay; the others, without."""
    parameters = list(parameters)
    return [
        {"params": [one for one in parameters if one.ndim > 1], "weight_decay": weight_decay},
        {"params": [one for one in parameters if one.ndim <= 1], "weight_decay": 0.0},
    ]
