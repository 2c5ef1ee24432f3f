"""A prepared split as detector input: resized, flipped, normalised images and their ground truth."""

from collections import defaultdict
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from cones.data.few_pictures import few_pictures
from cones.data.fewshot import few_shot
from cones.data.images import load_image
from cones.data.masks import IouType, boxes_of, decoded
from cones.models.detector import ImageBatch, Preprocessing, Target
from cones.runtime.artifacts import read_json


@dataclass(frozen=True)
class View:
    """An image of a split at one size, mirrored or not."""

    index: int
    short_side: int
    flip: bool = False


@dataclass
class Sample:
    """A loaded view: pixels (3, H, W) normalised and padded, size = unpadded (height, width); no target at test."""

    view: View
    pixels: Tensor
    size: tuple[int, int]
    target: Target | None


def resized(width: int, height: int, short_side: int, long_side_cap: int) -> tuple[int, int]:
    """(width, height) after resizing: the cap rounds, the long side truncates (docs/spec/glip.md 1.2).

    A strip whose short side would vanish keeps one pixel of it.
    """
    short, long = min(width, height), max(width, height)
    if long / short * short_side > long_side_cap:
        short_side = round(long_side_cap * short / long)
        if short_side < 1:
            return (1, long_side_cap) if width <= height else (long_side_cap, 1)
    if short == short_side:
        return width, height
    other = int(short_side * long / short)
    return (short_side, other) if width <= height else (other, short_side)


def resized_pixels(picture: Path, short_side: int, preprocessing: Preprocessing) -> np.ndarray:
    """A picture, upright, as (h, w, 3) RGB uint8 of the size that the detector sees."""
    image = load_image(picture)
    size = resized(*image.size, short_side, preprocessing.long_side_cap)
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR) if size != image.size else image)


class Split:
    """One split of a prepared dataset (`<folder>/<name>.json`, images under `<folder>/raw/`).

    With `masks`, targets hold the objects' masks if every object of the split has one (`has_masks`). Resized pixels are
    kept in memory up to `cache_mb`, so small sets are decoded once; masks stay as they are in the file. Of it
    (after the cut to few shots) at most `pictures` are used.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        *,
        preprocessing: Preprocessing,
        inclusive: bool,
        shots: int | None = None,
        shot_seed: int | None = None,
        pictures: int | None = None,
        masks: bool = False,
        cache_mb: int = 512,
    ):
        self.name = name
        self.coco = read_json(folder / f"{name}.json")
        if shots is not None:
            kept = set(few_shot(self.coco, shots, shot_seed))
            self.coco["images"] = [image for image in self.coco["images"] if image["id"] in kept]
            self.coco["annotations"] = [a for a in self.coco["annotations"] if a["image_id"] in kept]
        self.coco = few_pictures(self.coco, pictures)
        self.images = sorted(self.coco["images"], key=lambda image: image["id"])
        self.root = folder / "raw"
        self.preprocessing, self.inclusive = preprocessing, inclusive
        self._cache: dict[tuple[int, int], np.ndarray] = {}
        self._cache_bytes_left = cache_mb * 2**20
        self._annotate(masks)

    def _annotate(self, masks: bool) -> None:
        self._annotations = defaultdict(list)
        for annotation in self.coco["annotations"]:
            if not annotation.get("iscrowd"):
                self._annotations[annotation["image_id"]].append(annotation)
        self.has_masks = masks and all(annotation.get("segmentation") for annotation in self.coco["annotations"])

    def with_annotations(self, annotations: list[dict], *, masks: bool) -> "Split":
        """The same images with other annotations, of COCO's form; their masks are read if `masks`."""
        split = copy(self)
        split.coco = {**self.coco, "annotations": annotations}
        split._annotate(masks)
        return split

    def __len__(self) -> int:
        return len(self.images)

    @property
    def iou_types(self) -> tuple[IouType, ...]:
        """The kinds of IoU that detections on this split are scored by, the one that selects weights last."""
        return ("bbox", "segm") if self.has_masks else ("bbox",)

    def trainable_indices(self) -> list[int]:
        """Indices of the images with at least one box longer than a pixel on both sides (docs/spec/glip.md 1.5)."""
        return [
            index
            for index, image in enumerate(self.images)
            if any(min(annotation["bbox"][2:]) > 1 for annotation in self._annotations[image["id"]])
        ]

    def labels(self, index: int) -> np.ndarray:
        """The class of each box of an image (G,), as in its samples' targets, without opening the picture."""
        image = self.images[index]
        return self._boxes(image, image["width"], image["height"])[1]

    def sample(self, view: View, *, at_test: bool = False) -> Sample:
        """Load a view; `at_test` pads as the model wants it outside of training and leaves out the ground truth."""
        pixels = self._resized_pixels(view.index, view.short_side)  # (h, w, 3) uint8
        size = pixels.shape[:2]
        target = None if at_test else self._target(self.images[view.index], *size)
        if view.flip:
            pixels = pixels[:, ::-1]
            target = target and mirrored(target, size[1], inclusive=self.inclusive)
        padded = self.preprocessing.pads_at_test or not at_test
        return Sample(view, normalised_pixels(pixels, self.preprocessing, padded=padded), size, target)

    def _target(self, image: dict, height: int, width: int) -> Target:
        """The ground truth of a resized image: boxes of the file, or with masks the boxes around the resized masks."""
        if not self.has_masks:
            boxes, labels = self._boxes(image, width, height)
            return Target(torch.from_numpy(boxes), torch.from_numpy(labels), image["id"])
        masks, labels = self._masks(image, width, height)
        boxes = boxes_of(masks) - np.float32([0, 0, self.inclusive, self.inclusive])
        return Target(torch.from_numpy(boxes), torch.from_numpy(labels), image["id"], torch.from_numpy(masks))

    def _resized_pixels(self, index: int, short_side: int) -> np.ndarray:
        key = (index, short_side)
        if key in self._cache:
            return self._cache[key]
        pixels = resized_pixels(self.root / self.images[index]["file_name"], short_side, self.preprocessing)
        if pixels.nbytes <= self._cache_bytes_left:
            self._cache[key] = pixels
            self._cache_bytes_left -= pixels.nbytes
        return pixels

    def _boxes(self, image: dict, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
        """COCO xywh of the original -> xyxy (G, 4) float32 of the resized image, clipped, empty ones dropped."""
        annotations = self._annotations[image["id"]]
        xywh = np.array([annotation["bbox"] for annotation in annotations], dtype=np.float64).reshape(-1, 4)
        labels = self._labels(image)
        last_pixel = 1.0 if self.inclusive else 0.0
        boxes = np.concatenate([xywh[:, :2], xywh[:, :2] + np.maximum(xywh[:, 2:] - last_pixel, 0)], axis=1)  # (G, 4)
        limit = np.array([image["width"], image["height"]] * 2) - last_pixel
        boxes = np.clip(boxes, 0, limit)
        kept = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        scale = np.array([width / image["width"], height / image["height"]] * 2)
        return (boxes[kept] * scale).astype(np.float32), labels[kept]

    def _masks(self, image: dict, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
        """COCO segmentations of the original -> (G, height, width) bool, resized by nearest, empty ones dropped."""
        original = (image["height"], image["width"])
        masks = np.zeros((len(self._annotations[image["id"]]), height, width), bool)
        for row, annotation in zip(masks, self._annotations[image["id"]]):
            mask = Image.fromarray(decoded(annotation["segmentation"], original))
            row[:] = np.asarray(mask.resize((width, height), Image.Resampling.NEAREST))
        kept = masks.any(axis=(1, 2))
        return masks[kept], self._labels(image)[kept]

    def _labels(self, image: dict) -> np.ndarray:
        """The class of each object of an image, (G,) int64 from 0."""
        return np.array(
            [annotation["category_id"] - 1 for annotation in self._annotations[image["id"]]], dtype=np.int64
        )


def mirrored(target: Target, width: int, *, inclusive: bool) -> Target:
    """The target of the mirrored image, which has a width of `width` pixels."""
    boxes = target.boxes.clone()
    boxes[:, [0, 2]] = (width - 1 if inclusive else width) - boxes[:, [2, 0]]
    masks = None if target.masks is None else target.masks.flip(-1)
    return Target(boxes, target.labels, target.image_id, masks)


def normalised_pixels(pixels: np.ndarray, p: Preprocessing, *, padded: bool = True) -> Tensor:
    """(h, w, 3) RGB uint8 -> (3, H, W) float32, H and W with zeros up to the size divisor if `padded`."""
    channels = pixels[:, :, ::-1] if p.bgr else pixels
    normal = (channels.astype(np.float32) - np.float32(p.mean)) / np.float32(p.std)
    divisor = p.size_divisor if padded else 1
    height, width = (-(-side // divisor) * divisor for side in pixels.shape[:2])
    result = torch.zeros(3, height, width)
    result[:, : pixels.shape[0], : pixels.shape[1]] = torch.from_numpy(normal.transpose(2, 0, 1).copy())
    return result


def groups_of_equal_size(samples: Sequence[Sample], at_most: int) -> list[list[Sample]]:
    """Cut a batch into parts whose images have one padded size, so that each image is padded as if it were alone.

    The published runs put one image on each GPU; padding is visible to GLIP, so batching unequal sizes would be another
    computation (docs/spec/glip.md 1.4). With normalisers shared by the parts, the cut does not change the loss.
    """
    by_size: dict[tuple, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_size[tuple(sample.pixels.shape)].append(sample)
    return [group[i : i + at_most] for group in by_size.values() for i in range(0, len(group), at_most)]


def batch_of(samples: Sequence[Sample]) -> ImageBatch:
    return ImageBatch(torch.stack([sample.pixels for sample in samples]), [sample.size for sample in samples])
