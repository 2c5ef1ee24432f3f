"""Sizes -> modules: the one place where a `CLIPSizes` is read."""

from cones.models.clip.config import MEAN_RGB, SIZES, STD_RGB, CLIPSizes, ViTSizes, vocabulary_entries
from cones.models.clip.model import CLIP
from cones.models.clip.resnet import ModifiedResNet
from cones.models.clip.transformer import Transformer
from cones.models.clip.vit import VisionTransformer
from cones.models.dual_encoder import PictureFormat


def build_clip(name: str) -> CLIP:
    """The named model with fresh parameters, in train mode as every new module."""
    return build_of_sizes(SIZES[name])


def build_of_sizes(sizes: CLIPSizes) -> CLIP:
    """The same of any sizes."""
    image, text = sizes.image, sizes.text
    if isinstance(image, ViTSizes):
        visual = VisionTransformer(
            side=image.side,
            patch=image.patch,
            width=image.width,
            layers=image.layers,
            heads=image.heads,
            output=sizes.width,
        )
    else:
        visual = ModifiedResNet(
            side=image.side, width=image.width, layers=image.layers, heads=image.heads, output=sizes.width
        )
    return CLIP(
        visual=visual,
        transformer=Transformer(width=text.width, layers=text.layers, heads=text.heads, causal=True),
        vocabulary=vocabulary_entries(text),
        context_length=text.context,
        width=sizes.width,
        picture_format=PictureFormat(side=image.side, mean=MEAN_RGB, std=STD_RGB),
    )
