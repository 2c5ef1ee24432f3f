"""The two tiny CLIP models behind the golden files, with the weights and pictures of `clip/recipe.py`."""

import functools

import torch
from torch import Tensor

from cones.models.checkpoints import without_start_values
from cones.models.clip.build import build_of_sizes
from cones.models.clip.config import CLIPSizes, ResNetSizes, TextSizes, ViTSizes
from cones.models.clip.model import CLIP
from tests.golden.clip import recipe

TEXT = TextSizes(width=128, layers=4, heads=2)
TINY_VIT = CLIPSizes(ViTSizes(32, 8, width=192, layers=4, heads=3), TEXT, width=64)
TINY_RN = CLIPSizes(ResNetSizes(64, width=8, layers=(1, 1, 1, 1), heads=4), TEXT, width=64)
NAMES = ("cat", "toy car", "white blood cell")
LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])  # of the 8 training pictures


@functools.cache
def golden_state(sizes: CLIPSizes) -> dict[str, Tensor]:
    """The recipe's tensor of every name that the model has."""
    with torch.device("meta"):
        expected = build_of_sizes(sizes).state_dict()
    return {name: torch.from_numpy(recipe.value(name, tensor.shape)) for name, tensor in expected.items()}


def golden_clip(sizes: CLIPSizes = TINY_VIT) -> CLIP:
    """A model of its own with the golden weights, in eval mode."""
    with without_start_values():
        model = build_of_sizes(sizes)
    model.load_state_dict(golden_state(sizes), strict=True)
    return model.eval()


def golden_images(tag: str, count: int, side: int = 32) -> Tensor:
    """(count, 3, side, side), normalised: "train" (8), "test" (6) and the others that FORMAT names."""
    return torch.from_numpy(recipe.images(tag, count, side))
