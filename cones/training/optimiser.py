"""The optimiser's parameter groups: learning rate and weight decay by a parameter's name."""

from torch import nn

from cones.methods.settings import Tuning


def parameter_groups(trained: dict[str, nn.Parameter], learning_rate: float, tuning: Tuning) -> list[dict]:
    """Parameters grouped by (learning rate, weight decay); the defaults are GLIP's rule (docs/spec/glip.md 10).

    All tests are on the name, so that for "bias" also catches `relative_position_bias_table`, `bias_lang` and `bias0`,
    as in the published runs; norm weights keep their decay.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in trained.items():
        rate = learning_rate * next((factor for part, factor in tuning.lr_factors.items() if part in name), 1.0)
        is_bias = "bias" in name
        decays = tuning.bias_decay or not is_bias
        key = (rate * tuning.bias_lr_factor if is_bias else rate, tuning.weight_decay if decays else 0.0)
        groups.setdefault(key, []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "initial_lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]
