"""The painted icons that the stages share: picture i is a function of its number."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cones.miniature.icons import Icon, paint_icon, random_icon
from cones.miniature.painter import generator_of
from cones.runtime.artifacts import replacing
from cones.runtime.progress import watched


def icon_number(seed: int, number: int) -> Icon:
    return random_icon(generator_of(repr(("icon", seed, number))))


def paint_number(icon: Icon, seed: int, number: int, side: int) -> np.ndarray:
    """(side, side, 3) uint8."""
    return np.asarray(paint_icon(icon, generator_of(repr(("picture", seed, number))), side)[0])


def painted_icons(seed: int, count: int, side: int, file: Path) -> tuple[list[Icon], Tensor]:
    """The first `count` icons and their pictures (count, 3, side, side) uint8, painted once into `file`."""
    icons = [icon_number(seed, number) for number in range(count)]
    if not file.exists():
        numbers = watched(range(count), label="painting icons")
        pictures = np.stack([paint_number(icons[number], seed, number, side) for number in numbers])
        with replacing(file) as temporary:
            np.save(temporary, pictures)
    pictures = np.load(file)  # (count, side, side, 3)
    return icons, torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous()


def scaled(pictures: Tensor) -> Tensor:
    """uint8 -> float32 in -1 … 1, as the autoencoder takes them."""
    return pictures.float() / 127.5 - 1
