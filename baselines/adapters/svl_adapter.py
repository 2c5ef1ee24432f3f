"""SVL-Adapter: a small network on self-supervised features, its logits mixed with CLIP's (BMVC 2022, arXiv 2210.03794).

Official code: omipan/svl_adapter 9e8eca3, low_shot_adapt.py, models.py, utils.py. Linear(e, 256), ReLU, Linear(256, K)
on the features of a second encoder as they come; trained by cross-entropy of its logits alone, Adam 1e-3 without decay,
batch 32, 50 epochs, nothing selected. Mixed are logits: alpha * own + (1 - alpha) * 100 cos, the 100 a constant of the
code. alpha is a number (0.2 by default), or "val": the first best of 0, 0.05 … 1 on validation, or "confidence": one
minus the mean of the greatest CLIP probability. For the latter ("SVL-Adapter*") the code reads *test* images: here it
reads the training images without their labels. With every backbone but ViT-L/14 the code takes that probability of
un-normalised features, which `unit_confidence` corrects.

The second encoder is a small one of this project (`cones/training/simclr.py`), trained on the set's own unlabelled
images by SimCLR as published there; a ResNet-50 in the paper. Left out: the mode without labels (16 pseudo-labels a
class).
"""

import torch
from torch import Tensor, nn

from cones.methods.classifier import Choice, Classifier, ClassifierInputs, ClassifierMethod, Recipe, Tune
from cones.methods.drawn_layers import linear
from cones.methods.first_best import first_best
from cones.models.dual_encoder import ImageFeatures, unit
from cones.models.losses import LossTerms
from cones.runtime.errors import ConesError

METHOD = {
    "name": "svl_adapter",
    "classifier": "SVLAdapter",
    "not_for_detectors": "needs a second, self-supervised encoder of the proposals, and no detector has one",
    "features": ["self_supervised"],
    "label": "SVL-Adapter",
    "block": "adapters",
    "has_vectors": False,
    "survey": {
        "paper": "BMVC 2022, arXiv 2210.03794",
        "idea": "a network on the features of a second, self-supervised encoder, mixed with the zero-shot scores",
        "attaches": "scores",
        "trains": "two layers on the second features",
        "quirk": "the second encoder is trained on the set's own images by SimCLR; confidence of"
        " test images is not read",
    },
}
ALPHAS = [round(0.05 * step, 2) for step in range(21)]


class MixedLogits(Classifier):
    """alpha * mlp(second) + (1 - alpha) * scale * cos(pooled, text), texts (K, d), unit."""

    def __init__(self, mlp: nn.Module, text: Tensor, scale: float):
        super().__init__()
        self.mlp, self.scale = mlp, scale
        self.register_buffer("text", text)
        self.register_buffer("alpha", torch.zeros(()))

    def forward(self, images: ImageFeatures) -> Tensor:
        return self.mixed(images, self.alpha)

    def mixed(self, images: ImageFeatures, alpha: Tensor | float) -> Tensor:
        clip = self.scale * unit(images.pooled) @ self.text.T
        return alpha * self.mlp(images.second) + (1 - alpha) * clip


class SVLAdapter(ClassifierMethod):
    """The network on the second features trains; with alpha 0 the classifier is zero-shot at the code's scale."""

    reads = frozenset({"pooled", "self_supervised"})
    needs_unlabelled = True
    selection = "val"
    recipe = Recipe(
        optimiser="adam",
        learning_rate=1e-3,
        weight_decay=0.0,
        epochs=50,
        schedule="constant",
        warmup_epochs=0,
        options={"hidden": 256, "scale": 100.0, "alpha": "val", "unit_confidence": False},
    )

    def classifier(self, inputs: ClassifierInputs) -> MixedLogits:
        own, second = self.options(inputs), inputs.train.features.second
        if second is None:
            raise ConesError(
                "SVL-Adapter needs features of a self-supervised encoder, and none are stored",
                where=inputs.dataset,
                next_step="run the step self_supervise of this set first",
            )
        layers = [
            linear(second.shape[1], own["hidden"], generator=inputs.generator),
            nn.ReLU(),
            linear(own["hidden"], len(inputs.names), generator=inputs.generator),
        ]
        mixed = MixedLogits(nn.Sequential(*layers), unit(inputs.class_texts()), own["scale"])
        mixed.alpha.fill_(own["alpha"] if isinstance(own["alpha"], float | int) else 0.2)
        return mixed

    def loss_terms(self, classifier: MixedLogits, images: ImageFeatures, labels: Tensor) -> LossTerms:
        own = lambda features: classifier.mlp(features.second)  # noqa: E731
        return super().loss_terms(own, images, labels)

    def fit(self, classifier: MixedLogits, inputs: ClassifierInputs, tune: Tune) -> Choice | None:
        tune(classifier)
        own, val, found = self.options(inputs), inputs.val, None
        with torch.no_grad():
            if own["alpha"] == "confidence":
                images = inputs.unlabelled or inputs.train.features
                features = unit(images.pooled) if own["unit_confidence"] else images.pooled
                classifier.alpha.fill_(one_minus_confidence(classifier.scale * features @ classifier.text.T))
            elif own["alpha"] == "val" and len(val):
                found = first_best("alpha", ALPHAS, lambda alpha: classifier.mixed(val.features, alpha), val.labels)
                classifier.alpha.fill_(found.taken["alpha"])
        return found


def one_minus_confidence(logits: Tensor) -> Tensor:
    """1 - the mean over images of their greatest probability, in double precision as it may be tiny."""
    return 1 - logits.double().softmax(-1).max(-1).values.mean()
