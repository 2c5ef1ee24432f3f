"""Batches of painted, described scenes; each a function of recipe and number, whoever asks and whenever."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from cones.data.batches import normalised_pixels
from cones.data.masks import boxes_of
from cones.miniature.painter import generator_of
from cones.miniature.pretraining.captions import LabelledCaption, class_list, sentence
from cones.miniature.pretraining.recipes import Recipe
from cones.miniature.pretraining.scenes import Scene, names_to_learn, paint_scene, shape_of_batch
from cones.models.checkpoints import tokenizer_for
from cones.models.detector import ImageBatch, Preprocessing, Target


@dataclass
class SceneBatch:
    """images; targets with labels into each image's own caption; ids (B, L), mask (B, L), class_positions (B, K, L);
    phrases (B, L), or None for a family that reads a caption as one text; names, of each image those of its classes."""

    images: ImageBatch
    targets: list[Target]
    ids: Tensor
    mask: Tensor
    class_positions: Tensor
    phrases: Tensor | None
    names: list[list[str]]


class SceneBatches(Dataset):
    """Batch `number` of a recipe, with boxes as a detector with `inclusive` corners or without takes them."""

    def __init__(self, model: str, recipe: Recipe, preprocessing: Preprocessing, *, inclusive: bool):
        self.model, self.recipe, self.preprocessing, self.inclusive = model, recipe, preprocessing, inclusive
        self.tokenizer, self.names = tokenizer_for(model), names_to_learn()

    def __len__(self) -> int:
        return self.recipe.images // self.recipe.batch_size

    def __getitem__(self, number: int) -> SceneBatch:
        ratio = shape_of_batch(scene_generator(self.recipe.seed, number, "shape"))
        scenes, captions = [], []
        for place in range(self.recipe.batch_size):
            rng = scene_generator(self.recipe.seed, number, place)
            scene = paint_scene(rng, ratio, self.names)
            scenes.append(scene)
            in_words = rng.uniform() < self.recipe.sentences and scene.names
            captions.append(
                sentence(self.tokenizer, scene.names, scene.place, rng)
                if in_words
                else class_list(self.tokenizer, scene.names, self.names, rng)
            )
        pixels = [normalised_pixels(scene.pixels, self.preprocessing) for scene in scenes]
        height, width = (max(each.shape[axis] for each in pixels) for axis in (1, 2))
        batch = torch.zeros(len(pixels), 3, height, width)
        for row, each in zip(batch, pixels):
            row[:, : each.shape[1], : each.shape[2]] = each
        targets = [self._target(scene, words.labels, number) for scene, words in zip(scenes, captions)]
        images = ImageBatch(batch, [scene.pixels.shape[:2] for scene in scenes])
        ids, mask, positions = _padded(captions)
        names = [words.names for words in captions]
        return SceneBatch(images, targets, ids, mask, positions, self.tokenizer.phrases_of(ids), names)

    def _target(self, scene: Scene, labels: list[int], number: int) -> Target:
        """The boxes of whole objects, or of their masks where the recipe has masks; what is hidden has none."""
        labels = torch.tensor(labels, dtype=torch.int64)
        if not self.recipe.masks:
            boxes = scene.boxes if self.inclusive else scene.outer_boxes
            return Target(torch.from_numpy(boxes), labels, number)
        seen = scene.masks.any(axis=(1, 2))
        masks = scene.masks[seen]
        return Target(torch.from_numpy(boxes_of(masks)), labels[seen], number, torch.from_numpy(masks))


def painted_ahead(batches: SceneBatches, start: int) -> DataLoader:
    """The batches from `start` on, painted by another process while the model trains."""
    numbers = range(start, len(batches))
    return DataLoader(batches, batch_size=None, sampler=numbers, num_workers=1, prefetch_factor=16)


def scene_generator(*place: object) -> np.random.Generator:
    """Random numbers of a place in pretraining, such as (seed, batch, picture)."""
    return generator_of(repr(("pretraining", *place)))


def _padded(captions: list[LabelledCaption]) -> tuple[Tensor, Tensor, Tensor]:
    length, classes = max(len(each.ids) for each in captions), max(len(each.class_positions) for each in captions)
    ids = torch.zeros(len(captions), length, dtype=torch.int64)
    mask = torch.zeros(len(captions), length, dtype=torch.bool)
    positions = torch.zeros(len(captions), classes, length, dtype=torch.bool)
    for row, each in enumerate(captions):
        own_classes, own_length = each.class_positions.shape
        ids[row, :own_length], mask[row, :own_length] = each.ids, True
        positions[row, :own_classes, :own_length] = each.class_positions
    return ids, mask, positions
