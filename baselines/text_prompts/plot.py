"""PLOT: several contexts of a class, transported to the positions of an image (ICLR 2023, arXiv 2210.01253).

Official code: CHENGY12/PLOT 728539f, plot-coop/trainers/plot.py, plot-coop/clip/model.py, configs/trainers/PLOT,
scripts/main.sh. N = 4 contexts of M = 16 vectors each (random, at the end, shared by all classes). For every image and
class the cosines of P positions with N texts: cost C = 1 - cosine, kernel exp(-C / 0.1), uniform marginals; Sinkhorn
steps, rows and then columns, until the rows' factors change by less than 0.01 on average over the *batch*, 100 at most.
logit = s times the sum of plan x cosine; no gradient passes the plan. Cross-entropy, SGD 0.002, batch 128, 50 epochs,
ResNet-50. `pooled` adds the cosine of the pooled image feature and the mean of the raw texts, as on ImageNet.

As in the code an answer depends a little on the batch it comes in (1e-4): all stop together. Left out: float16 plans,
PLOT++ (`plot_pp.py`). On a detector: `regions.py`.
"""

import torch
from torch import Tensor

from baselines.text_prompts.context import START, ContextClassifier, ContextTexts, drawn_context
from baselines.text_prompts.coop import CoOp
from baselines.text_prompts.regions import TransportedRegions
from baselines.text_prompts.transport import transport_plan
from cones.methods.classifier import ClassifierInputs, Recipe
from cones.models.dual_encoder import ImageFeatures, scaled_cosines, unit

METHOD = {
    "name": "plot",
    "class": "RegionsWithContexts",
    "classifier": "PLOT",
    "label": "PLOT",
    "block": "text_prompts",
    "inputs": ["text_encoder"],
    "start_std": "word",
    "features": ["patches"],
    "has_vectors": False,
    "survey": {
        "paper": "ICLR 2023, arXiv 2210.01253",
        "idea": "several contexts of a class, transported to the positions of an image",
        "attaches": "text encoder, input",
        "trains": "4 times 16 vectors, shared by all classes",
        "quirk": "an answer depends a little on the batch it comes in",
    },
}


class TransportedTexts(ContextClassifier):
    """Contexts (N, M, w)."""

    def __init__(self, texts: ContextTexts, context: Tensor, scale: float, *, pooled: bool):
        super().__init__(texts, context, scale)
        self.pooled = pooled

    def made_texts(self) -> Tensor:
        """(N, K, d), not normalised."""
        return self.texts(self.context[:, None])

    def compare(self, images: ImageFeatures, texts: Tensor) -> Tensor:
        cosines = torch.einsum("bpd,nkd->bkpn", unit(images.patches), unit(texts))
        logits = self.scale * (transport_plan(1 - cosines)[0] * cosines).sum((-1, -2))
        if self.pooled:
            logits = logits + scaled_cosines(images.pooled, texts.mean(0), self.scale)
        return logits


class PLOT(CoOp):
    """The contexts train, and serve any classes."""

    reads = frozenset({"pooled", "patches", "text_encoder"})
    recipe = Recipe(
        optimiser="sgd",
        learning_rate=2e-3,
        epochs=50,
        batch_size=128,
        options={"vectors": START["vectors"], "start_std": START["start_std"], "contexts": 4, "pooled": False},
    )

    def classifier(self, inputs: ClassifierInputs) -> TransportedTexts:
        own = self.options(inputs)
        return self.with_context(inputs, drawn_context(inputs, own["contexts"], own["vectors"], std=own["start_std"]))

    def with_context(self, inputs: ClassifierInputs, context: Tensor) -> TransportedTexts:
        texts, pooled = self.texts(inputs, context.shape[-2]), self.options(inputs)["pooled"]
        return TransportedTexts(texts, context, inputs.logit_scale, pooled=pooled)


class RegionsWithContexts(TransportedRegions):
    """On a detector: the contexts train, and are transported to the points around each place."""
