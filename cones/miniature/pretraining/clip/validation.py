"""How well `clip_nano` in pretraining names things, in worlds that it never trains on: neither the drawn datasets nor
their world 0 is looked at, so that a recipe can be chosen by these scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from cones.miniature.objects import EMBLEMS, class_names
from cones.miniature.painter import generator_of
from cones.miniature.pretraining.clip.batches import normalised
from cones.miniature.pretraining.clip.bleaching import bleach
from cones.miniature.pretraining.clip.captions import FIRST
from cones.miniature.pretraining.clip.pictures import paint_subject
from cones.miniature.pretraining.clip.subjects import PLACES, Subject
from cones.miniature.pretraining.scenes import EMBLEM_WORLD
from cones.models.dual_encoder import DualEncoder, Tokenizer, scaled_cosines
from cones.models.language import clean_class_name

FIRST_WORLD = 5000  # beyond the worlds of training; emblems have one world only, their pieces are new
WORLDS = 4  # pictures of each name


@dataclass
class NamingTest:
    """Every name of pretraining in `worlds`, in colour and in grey, among the texts "a photo of a {name}."."""

    tokenizer: Tokenizer
    side: int
    worlds: Sequence[int] = range(FIRST_WORLD, FIRST_WORLD + WORLDS)

    @cached_property
    def subjects(self) -> list[Subject]:
        return [
            Subject("thing", name, PLACES[(place + world) % len(PLACES)], EMBLEM_WORLD if name in EMBLEMS else world)
            for world in self.worlds
            for place, name in enumerate(class_names())
        ]

    @cached_property
    def pictures(self) -> np.ndarray:
        """(N, side, side, 3) uint8."""
        painted = []
        for number, subject in enumerate(self.subjects):
            rng = generator_of(repr(("clip validation", number)))
            painted.append(np.asarray(paint_subject(subject, rng, self.side).image()))
        return np.stack(painted)

    @torch.no_grad()
    def scores(self, model: DualEncoder) -> dict[str, float]:
        """{"names", "names_grey"}: top-1 in per cent; a second name of the same figure counts as right."""
        names = class_names()
        ids, ends = self.tokenizer([FIRST.format(clean_class_name(name)) for name in names])
        classes = model.encode_text(model.embed_text(ids), ends)
        right = torch.tensor([[("name", name) in subject.facts for name in names] for subject in self.subjects])
        grey = np.stack([bleach(picture, "grey", np.random.default_rng()) for picture in self.pictures])
        return {
            "names": self._top1(model, self.pictures, classes, right),
            "names_grey": self._top1(model, grey, classes, right),
        }

    def _top1(self, model: DualEncoder, pictures: np.ndarray, classes: Tensor, right: Tensor) -> float:
        """`right` (N, K) bool: which of the classes (K, d) are right for each picture."""
        pixels = normalised(pictures, model.picture_format)
        features = torch.cat([model.encode_image(part).pooled for part in pixels.split(128)])
        chosen = scaled_cosines(features, classes, 1.0).argmax(dim=1)
        return round(100 * right[torch.arange(len(chosen)), chosen].float().mean().item(), 1)
