"""Where methods may attach inside a detector: the layers of its image encoder and of its fusion, by name."""

from torch import nn

from cones.models.detector import ImageBlocks
from cones.models.layers.fusion import BiAttention
from cones.models.layers.swin import PatchEmbed, SwinBlock, WindowAttention


def attention_projections(model: nn.Module) -> tuple[str, ...]:
    """Names of the linear layers inside every window attention and every fusion of `model`."""
    return tuple(
        f"{name}.{part}"
        for name, module in model.named_modules()
        if isinstance(module, (WindowAttention, BiAttention))
        for part, layer in module.named_children()
        if isinstance(layer, nn.Linear)
    )


def fusions(model: nn.Module) -> tuple[str, ...]:
    """Names of every fusion's `BiAttention`, in order."""
    return tuple(name for name, module in model.named_modules() if isinstance(module, BiAttention))


def image_blocks(model: nn.Module) -> ImageBlocks:
    """The blocks of the Swin inside `model`."""
    modules = dict(model.named_modules())
    widths = {name: module.attn.proj.out_features for name, module in modules.items() if isinstance(module, SwinBlock)}
    (patch,) = (module.patch for module in modules.values() if isinstance(module, PatchEmbed))
    return ImageBlocks(widths, patch)
