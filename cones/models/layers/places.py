"""Where methods may attach inside a detector: the layers of its image encoder and of its fusion, by name."""

from torch import nn

from cones.models.layers.fusion import BiAttention
from cones.models.layers.swin import WindowAttention


def attention_projections(model: nn.Module) -> tuple[str, ...]:
    """Names of the linear layers inside every window attention and every fusion of `model`."""
    return tuple(
        f"{name}.{part}"
        for name, module in model.named_modules()
        if isinstance(module, (WindowAttention, BiAttention))
        for part, layer in module.named_children()
        if isinstance(layer, nn.Linear)
    )
