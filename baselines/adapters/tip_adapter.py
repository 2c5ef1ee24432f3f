"""Tip-Adapter and Tip-Adapter-F: a cache of the training images beside the texts (ECCV 2022, arXiv 2207.09519).

Official code: gaopengcuhk/Tip-Adapter d0e2d6f, main.py, utils.py, configs. Keys are the training images' features,
their mean over 10 augmented passes made unit; values their labels. logits = 100 f W + alpha exp(-beta (1 - f K)) V, the
100 being a constant of the code and not the model's scale. alpha and beta are chosen on validation from a grid whose
outer loop is beta, which never tries its upper limits and of which the first best wins. -F trains the keys, unchanged
beta 1 and alpha 1.17, AdamW 1e-3 with eps 1e-4 and its default decay 0.01, batch 256, 20 epochs, cosine step by step;
keys are not made unit again. Published limits and starts differ by set (ImageNet's: beta 7, alpha 3; 200 x 20
settings): these are taken for all.

What differs: -F keeps its last epoch, where the code reloads the one that was best on *test*, and on ImageNet chooses
there too. Without stored augmented passes (crops of half the area at least, flips; `views`) keys are of plain images,
as -F's training images are. On a detector: `object_cache.py`.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.adapters.object_cache import ObjectCache
from cones.methods.classifier import Choice, Classifier, ClassifierInputs, ClassifierMethod, Recipe, Tune
from cones.methods.first_best import first_best_pair
from cones.models.dual_encoder import ImageFeatures, unit

METHOD = [
    {
        "name": "tip_adapter",
        "class": "CachedObjects",
        "classifier": "TipAdapter",
        "features": ["views"],
        "label": "Tip-Adapter",
        "block": "adapters",
        "inputs": ["text_states", "training_images"],
        "is_tuned": False,
        "has_vectors": False,
        "survey": {
            "paper": "ECCV 2022, arXiv 2207.09519",
            "idea": "labels of the most similar training images are added to the zero-shot scores",
            "attaches": "scores",
            "trains": "nothing; two numbers chosen",
            "quirk": "the two numbers are chosen on validation; ImageNet's published search was on test",
        },
    },
    {
        "name": "tip_adapter_f",
        "class": "TrainedObjects",
        "classifier": "TipAdapterF",
        "features": ["views"],
        "label": "Tip-Adapter-F",
        "block": "adapters",
        "inputs": ["text_states", "training_images"],
        "has_vectors": False,
        "survey": {
            "paper": "ECCV 2022, arXiv 2207.09519",
            "idea": "Tip-Adapter whose stored image features train",
            "attaches": "scores",
            "trains": "d values a training image",
            "quirk": "keeps its last epoch, where the code reloads the one that was best on test",
        },
    },
]
OPTIONS = {"scale": 100.0, "alpha": 1.17, "beta": 1.0, "max_alpha": 3.0, "max_beta": 7.0}
OPTIONS |= {"alpha_steps": 20, "beta_steps": 200}
SCHEDULE = {"epochs": 20, "batch_size": 256, "schedule": "cosine_per_step", "warmup_epochs": 0}  # of -F


class Cache(Classifier):
    """keys (n, d) and values (n, K) of n training images; texts (K, d), unit; alpha and beta scalars."""

    def __init__(self, keys: Tensor, values: Tensor, text: Tensor, own: dict[str, float], *, trains: bool):
        super().__init__()
        self.scale = own["scale"]
        if trains:
            self.keys = nn.Parameter(keys)
        else:
            self.register_buffer("keys", keys)
        self.register_buffer("values", values)
        self.register_buffer("text", text)
        self.register_buffer("alpha", torch.tensor(own["alpha"]).to(text))
        self.register_buffer("beta", torch.tensor(own["beta"]).to(text))

    def forward(self, images: ImageFeatures) -> Tensor:
        return self.mixed(images, self.alpha, self.beta)

    def mixed(self, images: ImageFeatures, alpha: Tensor, beta: Tensor | float) -> Tensor:
        """(B, K); of several alphas (A, 1, 1) all of them, (A, B, K)."""
        features = unit(images.pooled)
        affinity = features @ self.keys.T  # (B, n)
        found = (beta * affinity - beta).exp() @ self.values
        return self.scale * features @ self.text.T + alpha * found


class CachedObjects(ObjectCache):
    """On a detector: nothing trains."""


class TrainedObjects(ObjectCache):
    """On a detector: the keys train."""

    trains = True


class TipAdapter(ClassifierMethod):
    """Nothing trains; with alpha 0 the classifier is zero-shot at the code's scale."""

    selection = "val"
    trains = False
    recipe = Recipe(epochs=0, options=OPTIONS)

    def classifier(self, inputs: ClassifierInputs) -> Cache:
        own, train = self.options(inputs), inputs.train
        keys = unit(train.features.pooled if train.views is None else train.views.mean(0))
        values = F.one_hot(train.labels, len(inputs.names)).to(keys)
        return Cache(keys, values, unit(inputs.class_texts()), own, trains=self.trains)

    @torch.no_grad()
    def fit(self, classifier: Cache, inputs: ClassifierInputs, tune: Tune) -> Choice | None:
        """Choose alpha and beta; without validation images those given are kept."""
        own, val = self.options(inputs), inputs.val
        if not len(val):
            return None
        betas, alphas = (grid(own[f"max_{name}"], own[f"{name}_steps"]) for name in ("beta", "alpha"))
        column = torch.tensor(alphas).to(classifier.keys)[:, None, None]
        found = first_best_pair(
            ("beta", "alpha"), betas, alphas, lambda beta: classifier.mixed(val.features, column, beta), val.labels
        )
        classifier.alpha.fill_(found.taken["alpha"])
        classifier.beta.fill_(found.taken["beta"])
        return found


class TipAdapterF(TipAdapter):
    """The keys train, then alpha and beta are chosen with them."""

    trains = True
    recipe = Recipe(optimiser="adamw", learning_rate=1e-3, weight_decay=0.01, eps=1e-4, options=OPTIONS, **SCHEDULE)

    def fit(self, classifier: Cache, inputs: ClassifierInputs, tune: Tune) -> Choice | None:
        tune(classifier)
        return super().fit(classifier, inputs, tune)


def grid(limit: float, steps: int) -> list[float]:
    """From 0.1 upwards in equal steps, without the limit."""
    return [0.1 + step * (limit - 0.1) / steps for step in range(steps)]
