"""Tip-Adapter on detectors: a cache of the training objects beside the class names (ECCV 2022, arXiv 2207.09519).

Published values and code: `tip_adapter.py`. Here a detector's places (points of its maps, or queries) stand for images.
A key is the unit feature of the place whose box fits a training object best, its value the object's class; at most 16
of a class are kept (`per_class`), the first in the order of the images, as published sets have 16 images. To the logit
of class k at a place with unit feature f is added alpha sum exp(-beta (1 - f key)) [value is k]: to each row of the
class. -F trains the keys, which start as they are, by the detector's losses.

alpha and beta start as published (1.17, 1) and are then the first best pair on validation, of 3 and 2 values instead of
the published 200 and 20, as each costs a pass over the validation images. With alpha 0 the detector is zero-shot.
"""

from itertools import product

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cones.methods.method import PromptInputs
from cones.methods.places import ChangedScores, on_rows, places_of_objects
from cones.methods.prompts import FixedPrompt
from cones.models.detector import GroundedDetector, Predictions
from cones.models.dual_encoder import unit
from cones.runtime.devices import float32_product
from cones.runtime.errors import ConesError

OPTIONS = {"per_class": 16, "alpha": 1.17, "beta": 1.0}
GRID = {"beta": (1.0, 5.5), "alpha": (0.1, 1.17, 3.0)}


class NamesWithCache(FixedPrompt):
    """The states of the class names; keys (n, C) and values (n, K) of n training objects, alpha and beta. Made without
    objects, it takes as many as the state that it loads."""

    def __init__(self, text_states, keys: Tensor, values: Tensor, own: dict[str, float], *, trains: bool):
        super().__init__(text_states)
        if trains:
            self.keys = nn.Parameter(keys)
        else:
            self.register_buffer("keys", keys)
        self.register_buffer("values", values)
        for name in GRID:
            self.register_buffer(name, torch.tensor(float(own[name])))

    def added(self, features: Tensor) -> Tensor:
        """Features of places (B, P, C) -> what is added to their class logits, (B, P, K)."""
        affinity = float32_product(unit(features.to(self.keys.dtype)), self.keys.T)  # (B, P, n)
        return self.alpha * float32_product((self.beta * affinity - self.beta).exp(), self.values)

    def _load_from_state_dict(self, state_dict, prefix, *rest):
        for name in ("keys", "values"):
            if (found := state_dict.get(prefix + name)) is not None:
                getattr(self, name).data = found.new_empty(found.shape)
        super()._load_from_state_dict(state_dict, prefix, *rest)


class ObjectCache(ChangedScores):
    """trains  whether the keys do"""

    options = OPTIONS
    candidates = tuple(dict(zip(GRID, pair)) for pair in product(*GRID.values()))
    trains = False

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> NamesWithCache:
        own, text = self.own(prompt_inputs.settings), prompt_inputs.text_states
        keys, labels = torch.zeros(0, model.map_width), torch.zeros(0, dtype=torch.long)
        if prompt_inputs.training_images is not None:
            keys, labels = cached(model, prompt_inputs, own["per_class"])
        values = F.one_hot(labels, text.class_positions.shape[1]).to(keys)
        return NamesWithCache(text, keys, values, own, trains=self.trains)

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return self.trains and name == "prompt.keys"

    def adjust_predictions(
        self, model: GroundedDetector, prompt: NamesWithCache, predictions: Predictions
    ) -> Predictions:
        places = model.scored_places(predictions)
        added = on_rows(prompt.added(places.features), predictions.language.class_positions)
        return model.with_logits(predictions, places.logits + added)


@torch.no_grad()
def cached(model: GroundedDetector, prompt_inputs: PromptInputs, per_class: int) -> tuple[Tensor, Tensor]:
    """Unit features (n, C) of the first `per_class` training objects of each class, and the classes (n,)."""
    keys, labels = [], []
    names = FixedPrompt(prompt_inputs.text_states).to(next(model.parameters()).device)
    model.eval()
    for images in prompt_inputs.training_images():
        places = model.scored_places(model.ground(images.pyramid, names.without_images()))
        for features, target, of_objects in zip(
            places.features, images.targets, places_of_objects(places, images.targets)
        ):
            keys.append(unit(features[of_objects].float()))  # (G, C)
            labels.append(target.labels)
    if not keys:
        raise ConesError(
            "no training image has a usable box, and the cache is made of them",
            where=prompt_inputs.settings.method,
            next_step="look at manifest.json of the dataset: what was dropped, and why",
        )
    keys, labels = torch.cat(keys), torch.cat(labels)
    rank = F.one_hot(labels).cumsum(dim=0).gather(1, labels[:, None])[:, 0]  # which of its class an object is, from 1
    return keys[rank <= per_class], labels[rank <= per_class]
