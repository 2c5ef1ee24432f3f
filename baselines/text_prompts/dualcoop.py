"""DualCoOp: a positive and a negative context for each class, compared with regions (NeurIPS 2022, arXiv 2206.09541).

Official code: sunxm2357/DualCoOp 49e71d7, models/dualcoop.py, clip/model.py, utils/asymmetric_loss.py, train.py. Two
contexts of 16 vectors from N(0, 0.02²), shared by all classes, give each class a text that says that it is there and
one that says that it is not. Regions are positions of the image by their own values, without attention, behind the row
of their mean. r = 20 cos(region, text); weights are the softmax over regions of the positive r and serve both signs;
logit = 5 times the weighted sum of r. The probability of a class is the softmax over its pair.

Loss: asymmetric, of known labels alone. p is the probability, n = min(1 - p + 0.05, 1); a class that is there has
(1 - p) log p, one that is not (1 - n)² log n, the powers constant for the gradient; minus the *sum* over batch and
classes, times 0.03 (`loss_weight`; the readme takes larger ones for smaller shares of labels). SGD 2e-3 (VOC: 1e-3),
batch 32, 50 epochs, cosine, one warm-up epoch at 1e-5.

What differs: pictures of 448 pixels, cut and mirrored anew, through a ResNet-101 are published; here stored regions of
the model's own size. A vision transformer, for which nothing is published, has its pooled feature as the first region.
Left out: the zero-shot form (64 + 64 vectors, weight 0.01), which trains on half of the classes. On a detector:
`negative_texts.py`.
"""

from typing import Any

import torch
from torch import Tensor, nn

from baselines.text_prompts.context import START, ContextTexts, start_of_context
from baselines.text_prompts.kept_texts import KeptTexts
from baselines.text_prompts.negative_texts import ContextAndNegative
from cones.methods.classifier import Classifier, ClassifierInputs, ClassifierMethod, Recipe
from cones.models.dual_encoder import ImageFeatures, unit
from cones.models.losses import LossTerm, LossTerms

METHOD = {
    "name": "dualcoop",
    "class": "NegativeContext",
    "classifier": "DualCoOp",
    "label": "DualCoOp",
    "block": "text_prompts",
    "inputs": ["text_encoder"],
    "start_std": "word",
    "features": ["regions"],
    "has_vectors": False,
    "survey": {
        "paper": "NeurIPS 2022, arXiv 2206.09541",
        "idea": "each class has a text that it is there and one that it is not, both compared with regions",
        "attaches": "text encoder, input",
        "trains": "2 times 16 vectors, shared by all classes",
        "quirk": "for several classes a picture; its loss is a sum over batch and classes",
    },
}


class PairedTexts(Classifier):
    """Contexts (M, w), or (K, M, w) of each class, both train. logits are those of a class being there over not."""

    keeps_texts = True

    def __init__(self, texts: ContextTexts, negative: Tensor, positive: Tensor, own: dict[str, Any]):
        """`own`: the method's options."""
        super().__init__()
        self.kept = KeptTexts()
        self.texts, self.sharpness, self.scale = texts, own["sharpness"], own["scale"]
        self.weight = own["loss_weight"]
        self.loss = {key: own[key] for key in ("power_there", "power_absent", "shift")}
        self.negative, self.positive = (
            one if isinstance(one, nn.Parameter) else nn.Parameter(one.clone()) for one in (negative, positive)
        )

    def class_texts(self) -> Tensor:
        """(2, K, d), negative first, not normalised; at test made once for as long as the contexts do not change."""
        return self.kept.at_test(self, [self.negative, self.positive], self._made_texts)

    def _made_texts(self) -> Tensor:
        both = torch.stack([self.negative, self.positive])
        return self.texts(both if both.ndim == 4 else both[:, None])

    def forward(self, images: ImageFeatures) -> Tensor:
        negative, positive = self.pairs(images).unbind(1)
        return positive - negative

    def pairs(self, images: ImageFeatures) -> Tensor:
        """(B, 2, K), negative first."""
        scores = self.scores(images)
        return self.scale * (self.weights(scores)[:, :, None] * scores).sum(1)

    def scores(self, images: ImageFeatures) -> Tensor:
        """r of every region, (B, R, 2, K)."""
        return self.sharpness * torch.einsum("brd,skd->brsk", unit(images.patches), unit(self.class_texts()))

    def weights(self, scores: Tensor) -> Tensor:
        """(B, R, K), which add up to 1 over the regions."""
        return scores[:, :, 1].softmax(1)


class NegativeContext(ContextAndNegative):
    """On a detector: both contexts train; a class's logit is that of its text minus that of its negative text."""


class DualCoOp(ClassifierMethod):
    """Both contexts train; shared ones serve any classes."""

    serves = frozenset({"multi_label"})
    reads = frozenset({"pooled", "regions", "text_encoder"})
    unseen_classes = True
    recipe = Recipe(
        optimiser="sgd",
        learning_rate=2e-3,
        epochs=50,
        batch_size=32,
        options={
            **START,
            "class_specific": False,
            "sharpness": 20.0,
            "scale": 5.0,
            "loss_weight": 0.03,
            "power_there": 1.0,
            "power_absent": 2.0,
            "shift": 0.05,
        },
    )

    def classifier(self, inputs: ClassifierInputs) -> PairedTexts:
        own = self.options(inputs)
        return self._with(inputs, own, start_of_context(inputs, own), start_of_context(inputs, own))

    def for_classes(self, classifier: PairedTexts, inputs: ClassifierInputs) -> PairedTexts | None:
        own = self.options(inputs)
        return None if own["class_specific"] else self._with(inputs, own, classifier.negative, classifier.positive)

    def _with(self, inputs: ClassifierInputs, own: dict[str, Any], negative: Tensor, positive: Tensor) -> PairedTexts:
        texts = ContextTexts(inputs.encoder, inputs.tokenizer, inputs.names, vectors=positive.shape[-2])
        return PairedTexts(texts, negative, positive, own)

    def loss_terms(self, classifier: PairedTexts, images: ImageFeatures, labels: Tensor) -> LossTerms:
        """labels (B, K): 1, 0, or -1 where nobody knows. A sum: its normaliser is 1, however the batch is cut."""
        total = classifier.weight * asymmetric_loss(classifier.pairs(images), labels, **classifier.loss)
        return {"asymmetric": LossTerm(total, torch.zeros((), device=total.device))}


def asymmetric_loss(
    pairs: Tensor, labels: Tensor, *, power_there: float = 1.0, power_absent: float = 2.0, shift: float = 0.05
) -> Tensor:
    """Pairs (B, 2, K), negative first, and labels (B, K) of 1, 0, -1 (unknown) -> the sum over known labels."""
    absent, there = pairs.softmax(1).unbind(1)
    absent = (absent + shift).clamp(max=1)
    right = torch.where(labels == 1, there, absent)
    with torch.no_grad():
        power = torch.where(labels == 1, power_there, power_absent)
        factor = (1 - right) ** power * (labels >= 0)
    return -(factor * right.clamp(min=1e-6).log()).sum()
