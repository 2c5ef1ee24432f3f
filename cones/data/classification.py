"""Labelled pictures of a prepared dataset: its items, few-shot draws, halves of its classes, and pixels.

The draws are those of CoOp's protocol (Zhou et al. 2022, section 4.1; KaiyangZhou/CoOp datasets/oxford_pets.py) in
numbers, not in random streams: n pictures a class to train on, min(n, 4) to validate on.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cones.data.images import load_image
from cones.data.labelled import ITEMS
from cones.data.registry import SPLITS
from cones.models.dual_encoder import PictureFormat
from cones.runtime.artifacts import read_json
from cones.runtime.determinism import generator
from cones.runtime.errors import ConesError

VALIDATION_SHOTS = 4  # pictures a class at most
SCALE, RATIO, TRIES = (0.08, 1.0), (3 / 4, 4 / 3), 10  # of a training view: share of the picture, width to height

Class, Picture = TypeVar("Class"), TypeVar("Picture")


class Item(NamedTuple):
    """A picture, by its path relative to the dataset's folder, and the place of its class in the list of classes."""

    path: str
    label: int


class LabelSetItem(NamedTuple):
    """A picture that may show several classes: places in the list of classes that it shows, and those of which nobody
    knows; all others are absent."""

    path: str
    present: tuple[int, ...]
    unknown: tuple[int, ...]


def read_items(folder: str | Path) -> dict[str, list[Item]] | dict[str, list[LabelSetItem]]:
    """{"train", "val", "test": items} of a prepared dataset's folder; empty lists for one that was skipped."""
    content = read_json(Path(folder) / ITEMS)
    if not isinstance(content, dict) or set(content) != set(SPLITS):
        raise ConesError(
            "not a list of labelled pictures",
            where=Path(folder) / ITEMS,
            expected="train, val and test",
            next_step="delete it, and prepare the dataset again",
        )
    return {split: [_item(*row) for row in content[split]] for split in SPLITS}


def _item(path: str, *labels: int | list[int]) -> Item | LabelSetItem:
    return Item(path, *labels) if len(labels) == 1 else LabelSetItem(path, *map(tuple, labels))


def label_matrix(items: Sequence[LabelSetItem], classes: int) -> Tensor:
    """(n, K) int64: 1 present, 0 absent, -1 unknown."""
    found = torch.zeros(len(items), classes, dtype=torch.int64)
    for row, item in zip(found, items):
        row[list(item.present)], row[list(item.unknown)] = 1, -1
    return found


def partly_known(items: Sequence[LabelSetItem], classes: int, per_cent: int, seed: int) -> list[LabelSetItem]:
    """Each label of each item stays known with this chance, as in DualCoOp's protocol (arXiv 2206.09541, section 4.1;
    sunxm2357/DualCoOp 49e71d7, dataloaders).

    What is drawn depends on seed, item and class alone, so that the labels known at 10 per cent are known at 50 too.
    ConesError for a share outside of 1 to 100.
    """
    if not 1 <= per_cent <= 100:
        raise ConesError("no share of labels", expected="1 to 100 per cent", found=per_cent)
    kept = []
    for item in items:
        hidden = torch.rand(classes, generator=generator("known labels", seed, item.path)) >= per_cent / 100
        lost = set(hidden.nonzero().flatten().tolist())
        present = tuple(label for label in item.present if label not in lost)
        kept.append(LabelSetItem(item.path, present, tuple(sorted({*item.unknown, *lost}))))
    return kept


def few_shot(train: Sequence[Item], val: Sequence[Item], shots: int, seed: int) -> tuple[list[Item], list[Item]]:
    """`shots` training items a class, and min(shots, 4) to validate on; a class with fewer has all it has
    (`short_classes`). Items stand in the order of labels, then of the draw.

    Each class is drawn from a stream of its own, whatever the order of the files: so a draw of half of the classes is
    half of the draw, and a seed's 8 shots are the first of its 16. A class without validation items takes those that
    come next in its training draw, so that nothing is ever chosen on what is tested.
    """
    if shots < 1:
        raise ConesError("a few-shot setting needs at least one picture a class", found=shots, next_step="set shots: 1")
    tuned, validation = [], []
    wanted = min(shots, VALIDATION_SHOTS)
    given = _by_label(val)
    for label, items in sorted(_by_label(train).items()):
        drawn = in_random_order(items, "few_shot", "train", seed, label)
        tuned += drawn[:shots]
        own = in_random_order(given[label], "few_shot", "val", seed, label) if label in given else drawn[shots:]
        validation += own[:wanted]
    return tuned, validation


def short_classes(items: Sequence[Item], classes: Sequence[str], shots: int) -> dict[str, int]:
    """{class: its number of items} of the classes that have fewer than `shots`."""
    found = Counter(item.label for item in items)
    return {name: found[label] for label, name in enumerate(classes) if found[label] < shots}


def base_and_new(classes: Sequence[Class]) -> tuple[list[Class], list[Class]]:
    """The first ceil(K/2) classes in label order, and the rest."""
    half = math.ceil(len(classes) / 2)
    return list(classes[:half]), list(classes[half:])


def of_classes(items: Sequence[Item], labels: Sequence[int]) -> list[Item]:
    """The items of these labels, relabelled by their place among `labels`."""
    place = {label: number for number, label in enumerate(labels)}
    return [Item(item.path, place[item.label]) for item in items if item.label in place]


def labels_among(classes: Sequence[str], known: Sequence[str], *, where: object = None) -> list[int]:
    """The place of each of `classes` among the `known` ones: how a shifted copy's labels read in its source's.

    ConesError for a class that is not known; `where` names the copy.
    """
    place = {name: label for label, name in enumerate(known)}
    if strange := [name for name in classes if name not in place]:
        raise ConesError(
            f"{len(strange)} of {len(classes)} classes are not those of the source",
            where=where,
            found=", ".join(strange[:5]),
            next_step="a shifted copy has its source's classes, or some of them; score this set over its own classes",
        )
    return [place[name] for name in classes]


def load_pixels(paths: Sequence[str | Path], picture_format: PictureFormat, *, whole: bool = False) -> Tensor:
    """(B, 3, side, side), normalised: upright RGB, the short side resized to `side` (bicubic), the middle cut out.

    `whole`: resized to the square as it is, so that nothing at an edge is lost (DualCoOp's reading of several classes).
    """
    square = _squared if whole else middle_of
    return torch.stack([pixels_of(square(load_image(path), picture_format.side), picture_format) for path in paths])


def train_views(
    paths: Sequence[str | Path], names: Sequence[str], picture_format: PictureFormat, *place: object
) -> Tensor:
    """(B, 3, side, side), normalised: a random part of each picture (8 to 100 % of its area, width to height 3/4 to
    4/3), resized to the square, and turned left to right half of the time: CoOp's training transform.

    `names` say whose view it is, such as `Item.path`; a view depends on its name and `place` (seed, epoch …) alone,
    not on the batch it is in.
    """
    views = []
    for path, name in zip(paths, names, strict=True):
        picture = load_image(path)
        box, is_turned = view_of(picture.size, generator("view", *place, name))
        size = (picture_format.side, picture_format.side)
        view = picture.crop(box).resize(size, Image.Resampling.BICUBIC)
        view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if is_turned else view
        views.append(pixels_of(view, picture_format))
    return torch.stack(views)


def view_of(size: tuple[int, int], random: torch.Generator) -> tuple[tuple[int, int, int, int], bool]:
    """((left, top, right, bottom), whether it is turned) of a training view of a picture of (width, height).

    Ten tries to find a part that fits; then the largest middle part of an allowed shape.
    """
    width, height = size
    for _ in range(TRIES):
        share, shape, x, y = torch.rand(4, generator=random, dtype=torch.float64).tolist()
        area = width * height * (SCALE[0] + share * (SCALE[1] - SCALE[0]))
        ratio = math.exp(math.log(RATIO[0]) + shape * (math.log(RATIO[1]) - math.log(RATIO[0])))
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < high <= height:
            left, top = int(x * (width - wide + 1)), int(y * (height - high + 1))
            break
    else:
        wide, high = min(width, round(height * RATIO[1])), min(height, round(width / RATIO[0]))
        left, top = (width - wide) // 2, (height - high) // 2
    is_turned = bool(torch.rand(1, generator=random) < 0.5)
    return (left, top, left + wide, top + high), is_turned


def _by_label(items: Sequence[Item]) -> Mapping[int, list[Item]]:
    found: defaultdict[int, list[Item]] = defaultdict(list)
    for item in items:
        found[item.label].append(item)
    return found


def in_random_order(items: Iterable[Picture], *place: object) -> list[Picture]:
    """All items in the order that is drawn for a `generator` of this place, however they stood."""
    ordered = sorted(items)
    order = torch.randperm(len(ordered), generator=generator(*place))
    return [ordered[number] for number in order.tolist()]


def _squared(picture: Image.Image, side: int) -> Image.Image:
    return picture.resize((side, side), Image.Resampling.BICUBIC)


def middle_of(picture: Image.Image, side: int, resample: Image.Resampling = Image.Resampling.BICUBIC) -> Image.Image:
    """The picture's short side resized to `side`, and its middle square; an odd rest as torchvision rounds it."""
    short = min(picture.size)
    width, height = (int(side * length / short) for length in picture.size)
    resized = picture.resize((width, height), resample)
    left, top = round((width - side) / 2), round((height - side) / 2)
    return resized.crop((left, top, left + side, top + side))


def pixels_of(picture: Image.Image, picture_format: PictureFormat) -> Tensor:
    """(3, side, side) normalised."""
    values = torch.from_numpy(np.array(picture)).permute(2, 0, 1) / 255  # (3, side, side)
    mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in (picture_format.mean, picture_format.std))
    return (values - mean) / std
