"""A dense cell: fitted on a few pictures with class maps, and scored pixel by pixel.

The image encoder is frozen and reads pictures of any size (`DualEncoder.encode_positions`). A method that reads maps
gets those of whole pictures; any other one that serves the task gets each position as if it were an image, read with
the last layer's attention, so that zero-shot and probes need no code of their own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor
from torch.nn import functional as F

from cones.data.class_maps import IGNORED, Numbers, read_class_map
from cones.data.dense import (
    MappedItem,
    class_of_positions,
    few_pictures,
    read_mapped_items,
    square_picture,
    whole_picture,
)
from cones.evaluation.classification_metrics import DenseScore, TargetScore
from cones.evaluation.mean_iou import PixelCounts
from cones.methods.classifier import LabelledFeatures
from cones.models.dual_encoder import DualEncoder, ImageFeatures
from cones.models.positions import Positions
from cones.runtime.devices import peak_memory_bytes, to_device
from cones.runtime.errors import ConesError
from cones.steps.classify import CellFit
from cones.steps.labelled_cell import FewImages, PreparedDataset, Target

MAPS = frozenset({"positions", "value_positions"})
PICTURES_AT_ONCE, CLASSES_AT_ONCE = 8, 16  # encoded together; resized together to a picture's size


class MappedDataset(PreparedDataset):
    """One of pictures with class maps; no file of features belongs to it."""

    @property
    def numbers(self) -> Numbers:
        return Numbers(**self.manifest["class_map"])

    @cached_property
    def items(self) -> dict[str, list[MappedItem]]:
        return read_mapped_items(self.folder)

    def class_map(self, item: MappedItem):
        return read_class_map(self.folder / item.class_map, self.numbers)

    def target(self, key: str | None = None, labels: Sequence[int] | None = None) -> Target:
        """Its test images, of all classes."""
        known = self.manifest
        return Target(key or self.name, self.name, self.classes, known["texts"], known["template"], self.items["test"])


@dataclass(frozen=True)
class DenseScored:
    """The answers for the test images: pixels by class, and of each image (labelled pixels, right ones)."""

    target: Target
    counts: PixelCounts
    images: list[tuple[int, int]]

    @property
    def predictions(self) -> dict:
        """As `predictions.json` holds them: test images in the order of `items.json`."""
        pixels = {"truth": self.counts.truth, "answers": self.counts.answers, "right": self.counts.right}
        return {
            "dataset": self.target.dataset,
            "classes": list(self.target.classes),
            "pixels": pixels,
            "images": self.images,
        }


class DenseFit(CellFit):
    """A dense cell while it is fitted and scored."""

    dataset_kind = MappedDataset

    @cached_property
    def encoder(self) -> DualEncoder:
        return super()._encoder()

    def _encoder(self) -> DualEncoder:
        return self.encoder

    @property
    def reason(self) -> str | None:
        """Why the cell has no numbers, if it has none."""
        if lacking := super().reason:
            return lacking
        if self.method.labels == "none":
            return None
        if not self.own.items["train"]:
            return "the data set has no pictures to learn from"
        is_empty = len(self.few.short) == len(self.own.classes)
        return "no labelled pixel in the middle squares of its training pictures" if is_empty else None

    @property
    def reads_maps(self) -> bool:
        return bool(self.method.reads & MAPS)

    @cached_property
    def short_side(self) -> int:
        """Of pictures, in pixels."""
        asked = self.plan.classification.models[self.cell.model].dense_side
        return asked or self.encoder.picture_format.side

    @cached_property
    def drawn(self) -> tuple[list[MappedItem], list[MappedItem]]:
        """The pictures to learn from, and those to validate on."""
        given = self.own.items["train"], self.own.val_items
        return few_pictures(*given, self.setting.shots, self.cell.seed)

    @cached_property
    def few(self) -> FewImages:
        """`short`: the classes of which the method, as it reads maps, has nothing to learn from."""
        (train, val), names = self.drawn, self.own.classes
        seen = set(self.to_train_on.labels.unique().tolist())
        uses_labels = self.method.labels == "train"
        short = {name: 0 for label, name in enumerate(names) if uses_labels and label not in seen}
        return FewImages(range(len(names)), train, val, train, short)

    @cached_property
    def to_train_on(self) -> LabelledFeatures:
        """Nothing for a method that uses no labels."""
        return self._labelled(self.drawn[0] if self.method.labels == "train" else [])

    def images_to_learn(self, part: str) -> LabelledFeatures:
        """Of a part that the method uses; none is read without its labels."""
        if part == "train":
            return self.to_train_on
        return self._labelled(self.few.val if part == "val" and self.method.selection == "val" else [])

    def _scale(self, encoder: DualEncoder | None) -> float:
        return super()._scale(self.encoder)

    @torch.no_grad()
    def _labelled(self, items: Sequence[MappedItem]) -> LabelledFeatures:
        """The middle squares of pictures: their positions and class maps, or the labelled positions one by one."""
        if not items:
            return LabelledFeatures(ImageFeatures(torch.empty(0, 0)), torch.empty(0, dtype=torch.int64))
        stride, picture_format = self.encoder.position_stride, self.encoder.picture_format
        side = max(1, round(self.short_side / stride)) * stride
        pairs = [square_picture(self.own.folder, item, self.own.numbers, picture_format, side=side) for item in items]
        pixels, maps = (torch.stack(part) for part in zip(*pairs))
        positions = Positions.joined([self.positions(part) for part in pixels.split(PICTURES_AT_ONCE)])
        if self.reads_maps:
            return LabelledFeatures(positions, maps.to(self.device))
        labels = class_of_positions(maps, positions.grid, len(self.own.classes)).flatten()
        rows = (labels != IGNORED).nonzero()[:, 0]
        features = positions.features.flatten(0, 1)[rows.to(self.device)]
        return LabelledFeatures(ImageFeatures(features), labels[rows].to(self.device))

    def notes(self) -> list[str]:
        """Whether there are fewer training pictures than asked for."""
        found, asked = len(self.few.train), self.setting.shots
        is_short = self.method.labels != "none" and found < asked
        return [f"{found} training pictures of {asked}: there are no more"] if is_short else []

    def positions(self, pixels: Tensor) -> Positions:
        reading = "values" if "value_positions" in self.method.reads else "attention"
        pixels = to_device(pixels, self.device)
        return self.encoder.encode_positions(pixels, reading=reading, resize=self.method.grid_resize)

    @torch.no_grad()
    def logits(self, pixels: Tensor) -> Tensor:
        """(B, 3, h, w) -> (B, K, H, W) of the tuned classifier."""
        positions = self.positions(pixels)
        if self.reads_maps:
            return self.classifier(positions)
        rows = self.classifier(ImageFeatures(positions.features.flatten(0, 1)))  # (B H W, K)
        return positions.as_map(rows.unflatten(0, positions.features.shape[:2]))

    def score(self) -> tuple[list[DenseScored], dict]:
        """The answers for the test images, and what encoding and answering them cost."""
        started, seconds, target = time.monotonic(), 0.0, self.own.target()
        counts, images = PixelCounts(len(target.classes)), []
        sizes = {"short_side": self.short_side, "stride": self.encoder.position_stride}
        for item in target.items:
            truth = self.own.class_map(item)
            pixels = whole_picture(self.own.folder / item.path, self.encoder.picture_format, **sizes)
            begun = time.monotonic()
            answers = self._answers(pixels, truth.shape)
            seconds += time.monotonic() - begun
            counts.add(answers, truth)
            images.append((int((truth != IGNORED).sum()), int((answers == truth).sum())))
        return [DenseScored(target, counts, images)], {
            "seconds_per_image": seconds / len(images),
            "images": len(images),
            "seconds": time.monotonic() - started,
            "peak_memory_bytes": peak_memory_bytes(self.device),
        }

    def _answers(self, pixels: Tensor, size: tuple[int, int]):
        """(height, width) the class of each pixel."""
        logits = self.logits(pixels).float()
        if not logits.isfinite().all():
            raise ConesError(
                "logits that are not finite",
                where=self.cell.folder,
                next_step="lower the learning rate of this arm's recipe",
            )
        return first_choices(logits, size).cpu().numpy()

    def target_score(self, scored: DenseScored) -> TargetScore:
        found, names = scored.counts.score(scored.target.classes), scored.target.classes
        per_class = {name: round(value, 4) for name, value in zip(names, found.per_class) if value is not None}
        return TargetScore(
            accuracy=round(found.accuracy, 4),
            images=len(scored.images),
            classes=len(names),
            absent=tuple(found.absent),
            dense=DenseScore(mean_iou=round(found.mean, 4), per_class=per_class, pixels=sum(scored.counts.truth)),
        )


def first_choices(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """(1, K, H, W) -> (height, width): the class of the largest logit, resized bilinearly (corners not aligned); of
    equal ones the first. A part of the classes at a time, so that many of them fit."""
    best, found = None, None
    for at in range(0, logits.shape[1], CLASSES_AT_ONCE):
        part = logits[:, at : at + CLASSES_AT_ONCE]
        values, places = F.interpolate(part, size=size, mode="bilinear", align_corners=False)[0].max(0)
        is_better = torch.ones_like(values, dtype=torch.bool) if best is None else values > best
        best = values if best is None else torch.where(is_better, values, best)
        found = places if found is None else torch.where(is_better, places + at, found)
    return found
