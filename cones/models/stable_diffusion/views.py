"""A subject's pictures as the model sees them: square, scaled, mirrored; and their posteriors, encoded once.

Two views per picture, itself and its mirror: all the augmentation there is, so a posterior per view, drawn from anew at
every step, is equal in distribution to encoding the picture each time. Continuous augmentation would void that.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor, nn

from cones.runtime.errors import ConesError

Fit = Literal["crop", "squeeze"]


def square(picture: Image.Image, side: int, fit: Fit = "crop") -> Image.Image:
    """RGB, `side` x `side`, bicubic: cut from the centre, or squeezed as the public textual-inversion script does."""
    picture = ImageOps.exif_transpose(picture).convert("RGB")
    if fit == "crop":
        return ImageOps.fit(picture, (side, side), Image.Resampling.BICUBIC)
    return picture.resize((side, side), Image.Resampling.BICUBIC)


def views(files: Sequence[Path], side: int, fit: Fit = "crop") -> Tensor:
    """(2 P, 3, side, side) in -1 … 1: the P pictures, then their mirrors."""
    if not files:
        raise ConesError("a subject has no picture", next_step="prepare the dataset again")
    pixels = []
    for file in files:
        with Image.open(file) as picture:
            pixels.append(np.asarray(square(picture, side, fit), np.float32))
    stacked = torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2) / 127.5 - 1  # (P, 3, side, side)
    return torch.cat([stacked, stacked.flip(-1)])


@torch.no_grad()
def posteriors(autoencoder: nn.Module, pictures: Tensor) -> Tensor:
    """(V, 3, H, W) -> (V, 2C, h, w): mean and log variance of each view's latents, one view at a time."""
    return torch.cat([autoencoder.encode(picture[None]).latent_dist.parameters.float() for picture in pictures])
