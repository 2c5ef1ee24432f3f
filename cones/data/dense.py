"""Pictures with class maps of a prepared dataset: its items, draws of a few, and both as an encoder takes them."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cones.data.class_maps import IGNORED, Numbers, read_class_map
from cones.data.classification import VALIDATION_SHOTS, in_random_order, middle_of, pixels_of
from cones.data.images import load_image
from cones.data.labelled import ITEMS
from cones.data.registry import SPLITS
from cones.models.dual_encoder import PictureFormat
from cones.runtime.artifacts import read_json


class MappedItem(NamedTuple):
    """A picture and its class map, by their paths relative to the dataset's folder."""

    path: str
    class_map: str


def read_mapped_items(folder: str | Path) -> dict[str, list[MappedItem]]:
    """{"train", "val", "test": items} of a prepared dataset's folder; empty lists for one that was skipped."""
    content = read_json(Path(folder) / ITEMS)
    return {split: [MappedItem(*item) for item in content[split]] for split in SPLITS}


def few_pictures(
    train: Sequence[MappedItem], val: Sequence[MappedItem], count: int, seed: int
) -> tuple[list[MappedItem], list[MappedItem]]:
    """`count` training pictures, and min(count, 4) to validate on; all there are where these are fewer.

    A seed's first 8 of 16 are its 8. Without validation pictures those come next in the training draw. Nothing is drawn
    by class, as a picture shows several.
    """
    drawn, wanted = in_random_order(train, "few pictures", "train", seed), min(count, VALIDATION_SHOTS)
    own = in_random_order(val, "few pictures", "val", seed) if val else drawn[count:]
    return drawn[:count], own[:wanted]


def whole_picture(path: str | Path, picture_format: PictureFormat, *, short_side: int, stride: int) -> Tensor:
    """(1, 3, h, w), normalised: the whole picture, its short side resized (bicubic) to about `short_side`. Both sides
    are rounded to multiples of `stride`."""
    picture = load_image(path)
    scale = short_side / min(picture.size)
    size = tuple(max(1, round(side * scale / stride)) * stride for side in picture.size)
    return pixels_of(picture.resize(size, Image.Resampling.BICUBIC), picture_format)[None]


def square_picture(
    folder: Path, item: MappedItem, numbers: Numbers, picture_format: PictureFormat, *, side: int
) -> tuple[Tensor, Tensor]:
    """((3, side, side) normalised, (side, side) int64 classes): the middle square of a picture, as `load_pixels` cuts
    it, and that of its map, whose numbers are never mixed."""
    picture = middle_of(load_image(folder / item.path), side)
    whole = Image.fromarray(read_class_map(folder / item.class_map, numbers))
    found = np.array(middle_of(whole, side, Image.Resampling.NEAREST))
    return pixels_of(picture, picture_format), torch.from_numpy(found).long()


def class_of_positions(maps: Tensor, grid: tuple[int, int], classes: int) -> Tensor:
    """Class maps (B, h, w), both sides multiples of the grid's -> (B, H W): the class that most labelled pixels under a
    position have, of equal ones the first; IGNORED where none is labelled."""
    high, wide = maps.shape[1] // grid[0], maps.shape[2] // grid[1]
    cells = maps.unflatten(1, (grid[0], high)).unflatten(3, (grid[1], wide))  # (B, H, high, W, wide)
    cells = cells.transpose(2, 3).flatten(3).flatten(1, 2)  # (B, H W, high wide)
    counts = torch.stack([(cells == label).sum(2) for label in range(classes)], dim=2)  # (B, H W, K)
    found = counts.argmax(2)
    found[counts.sum(2) == 0] = IGNORED
    return found
