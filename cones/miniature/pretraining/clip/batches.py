"""Batches of described pictures; each a function of recipe and number."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
import torch
from torch import Tensor

from cones.miniature.painter import generator_of
from cones.miniature.pretraining.clip.bleaching import bleach, kind_of_batch
from cones.miniature.pretraining.clip.captions import caption, true_texts
from cones.miniature.pretraining.clip.pictures import subject_number
from cones.miniature.pretraining.clip.recipe import ClipRecipe
from cones.miniature.pretraining.clip.subjects import Subject
from cones.miniature.pretraining.hardships import weathered
from cones.models.dual_encoder import PictureFormat, Tokenizer


@dataclass
class PictureBatch:
    """pixels (B, 3, side, side), normalised; ids (B, L) and ends (B,) of the texts, text i of picture i; true (B, B)
    bool, whether text j is true of picture i; the texts themselves."""

    pixels: Tensor
    ids: Tensor
    ends: Tensor
    true: Tensor
    texts: list[str]


@dataclass
class PictureBatches:
    """Passes over the painted pictures (N, s, s, 3) uint8, each in an order of its own."""

    recipe: ClipRecipe
    pictures: np.ndarray
    tokenizer: Tokenizer
    picture_format: PictureFormat

    @cached_property
    def subjects(self) -> list[Subject]:
        return [subject_number(self.recipe.seed, number) for number in range(len(self.pictures))]

    @cached_property
    def _order(self) -> Callable[[int], np.ndarray]:
        @lru_cache(maxsize=2)
        def order(passed: int) -> np.ndarray:
            return self._generator("order", passed).permutation(len(self.pictures))

        return order

    def __len__(self) -> int:
        return self.recipe.steps

    def __getitem__(self, number: int) -> PictureBatch:
        rng = self._generator("batch", number)
        risen = min(number / (self.recipe.bleached_by * self.recipe.steps), 1.0)
        kind = kind_of_batch(rng, risen * self.recipe.bleached, self.recipe.grey)
        chosen = self._numbers(number)
        subjects = [self.subjects[k] for k in chosen]
        captions = [caption(subject, rng, colours=kind == "colour") for subject in subjects]
        views = [self._view(self.pictures[k], kind, rng) for k in chosen]
        texts = [words.text for words in captions]
        ids, ends = self.tokenizer(texts)
        pixels = normalised(np.stack(views), self.picture_format)
        return PictureBatch(pixels, ids, ends, true_texts(subjects, captions), texts)

    def _numbers(self, number: int) -> list[int]:
        """The pictures of batch `number`."""
        places = np.arange(number * self.recipe.batch_size, (number + 1) * self.recipe.batch_size)
        passes = places // len(self.pictures)
        return [int(self._order(int(p))[place % len(self.pictures)]) for p, place in zip(passes, places)]

    def _view(self, picture: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
        """A random square of the side that the model takes, mirrored half of the time, bleached, then weathered."""
        side = self.picture_format.side
        top, left = rng.integers(0, len(picture) - side + 1, 2)
        view = picture[top : top + side, left : left + side]
        view = np.ascontiguousarray(view[:, ::-1] if rng.uniform() < 0.5 else view)
        return weathered(bleach(view, kind, rng), rng)

    def _generator(self, *place: object) -> np.random.Generator:
        return generator_of(repr(("clip pretraining", self.recipe.seed, *place)))


def normalised(pictures: np.ndarray, picture_format: PictureFormat) -> Tensor:
    """(B, h, w, 3) uint8 -> (B, 3, h, w) float32 as the model takes them."""
    scaled = torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (picture_format.mean, picture_format.std))
    return ((scaled - mean) / std).contiguous()
