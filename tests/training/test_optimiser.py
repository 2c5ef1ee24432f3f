"""Parameter groups: which parameters have which learning rate and decay."""

import torch

from cones.methods.settings import Tuning
from cones.training.optimiser import parameter_groups


def test_groups_follow_the_published_bias_rule():
    parameters = {
        name: torch.nn.Parameter(torch.zeros(1))
        for name in ("model.a.weight", "model.a.bias", "model.relative_position_bias_table", "prompt.text_encoder.w")
    }
    groups = parameter_groups(parameters, 1.0, Tuning())
    rates = {
        name: (group["lr"], group["weight_decay"])
        for group in groups
        for name, parameter in parameters.items()
        if any(parameter is each for each in group["params"])
    }
    assert rates == {
        "model.a.weight": (1.0, 0.05),
        "model.a.bias": (2.0, 0.0),
        "model.relative_position_bias_table": (2.0, 0.0),
        "prompt.text_encoder.w": (0.1, 0.05),
    }


def test_groups_may_follow_another_rule():
    """UNINEXT's: the backbone at a tenth, biases like all others; the first part of a name that fits counts."""
    names = ("model.backbone.text_encoder.w", "model.backbone.bias", "model.head.bias", "prompt.text_encoder.w")
    parameters = {name: torch.nn.Parameter(torch.zeros(1)) for name in names}
    rule = Tuning(bias_lr_factor=1.0, bias_decay=True, lr_factors={"backbone": 0.1, "text_encoder": 0.5})
    rates = {
        name: (group["lr"], group["weight_decay"])
        for group in parameter_groups(parameters, 2.0, rule)
        for name, parameter in parameters.items()
        if any(parameter is each for each in group["params"])
    }
    assert rates == dict(zip(names, [(0.2, 0.05), (0.2, 0.05), (2.0, 0.05), (1.0, 0.05)]))
