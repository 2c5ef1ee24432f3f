"""Parameter groups of the fine-tuning protocol: the text encoder learns slower, biases faster and without decay."""

from torch import nn

from cones.config import Tuning


def parameter_groups(trained: dict[str, nn.Parameter], learning_rate: float, tuning: Tuning) -> list[dict]:
    """Groups by (rate, decay) after GLIP's rule (spec, section 10).

    The test for "bias" is on the name, so it also catches `relative_position_bias_table`, `bias_lang` and `bias0`, as
    in the published runs; norm weights keep their decay.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in trained.items():
        rate = learning_rate * (tuning.text_encoder_lr_factor if ".text_encoder." in name else 1.0)
        is_bias = "bias" in name
        key = (rate * tuning.bias_lr_factor, 0.0) if is_bias else (rate, tuning.weight_decay)
        groups.setdefault(key, []).append(parameter)
    return [
        {"params": parameters, "lr": rate, "initial_lr": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]
