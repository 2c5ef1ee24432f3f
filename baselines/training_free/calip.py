"""CALIP: positions of an image and class texts exchange what they hold, without training (AAAI 2023, arXiv 2209.14169).

Official code: ZiyuGuo99/CALIP 83e21b6, run_imagenet.py, utils.py, clip/model.py. With g the pooled feature, S (P, d)
the other positions and W the texts, all unit: A = 2 S W. Visual side: V_k = sum over positions of softmax over
positions(A) S. Text side: T_p = sum over classes of softmax over classes(A) W, pooled by its mean plus its greatest
value over positions. Neither is made unit. logits = 100 g W + beta2 100 g V + beta3 100 T W; 2 and 100 are constants of
the code. beta2 and beta3 start at 0.001 and never reach their limits (2 and 0.1 for ImageNet) in 200 steps each, beta2
outside, the first best wins.

What differs: the code searches on the labels of the evaluation images; here on validation, and without validation
images beta2 and beta3 stay 0, which is zero-shot. Left out: CALIP-FS, whose code is not in the repository.
"""

import torch
from torch import Tensor

from cones.methods.classifier import Choice, Classifier, ClassifierInputs, ClassifierMethod, Recipe, Tune
from cones.methods.first_best import first_best_pair
from cones.models.dual_encoder import ImageFeatures, unit

METHOD = {
    "name": "calip",
    "classifier": "CALIP",
    "features": ["patches"],
    "label": "CALIP",
    "block": "training_free",
    "is_tuned": False,
    "has_vectors": False,
    "survey": {
        "paper": "AAAI 2023, arXiv 2209.14169",
        "idea": "positions of the image and class texts exchange what they hold by attention without weights",
        "attaches": "image positions and class vectors",
        "trains": "nothing; two numbers chosen",
        "quirk": "published numbers were searched on the evaluation images; on validation here",
    },
}


class ParameterFreeAttention(Classifier):
    """Texts (K, d), unit; beta2 and beta3 scalars."""

    def __init__(self, text: Tensor, scale: float):
        super().__init__()
        self.scale = scale
        self.register_buffer("text", text)
        self.register_buffer("beta2", torch.zeros(()))
        self.register_buffer("beta3", torch.zeros(()))

    def forward(self, images: ImageFeatures) -> Tensor:
        plain, visual, textual = self.parts(images)
        return plain + self.beta2 * visual + self.beta3 * textual

    def parts(self, images: ImageFeatures) -> tuple[Tensor, Tensor, Tensor]:
        """The logits (B, K) of zero-shot, of the visual and of the text side."""
        pooled, positions = unit(images.pooled), unit(images.patches)
        affinity = 2 * positions @ self.text.T  # (B, P, K)
        seen = affinity.softmax(1).transpose(1, 2) @ positions  # (B, K, d): one vector of the image for each class
        told = affinity.softmax(2) @ self.text  # (B, P, d)
        told = told.mean(1) + told.amax(1)  # (B, d)
        visual = torch.einsum("bd,bkd->bk", pooled, seen)
        return self.scale * pooled @ self.text.T, self.scale * visual, self.scale * told @ self.text.T


class CALIP(ClassifierMethod):
    """Nothing trains; two numbers are chosen."""

    reads = frozenset({"pooled", "patches"})
    selection = "val"
    labels = "none"
    unseen_classes = True
    recipe = Recipe(epochs=0, options={"scale": 100.0, "max_beta2": 2.0, "max_beta3": 0.1, "steps": 200})

    def classifier(self, inputs: ClassifierInputs) -> ParameterFreeAttention:
        return ParameterFreeAttention(unit(inputs.class_texts()), self.options(inputs)["scale"])

    @torch.no_grad()
    def fit(self, classifier: ParameterFreeAttention, inputs: ClassifierInputs, tune: Tune) -> Choice | None:
        own, val = self.options(inputs), inputs.val
        if not len(val):
            return None
        plain, visual, textual = classifier.parts(val.features)
        beta2, beta3 = (grid(own[limit], own["steps"]) for limit in ("max_beta2", "max_beta3"))
        column = torch.tensor(beta3).to(textual)[:, None, None] * textual  # (beta3, n, K)
        found = first_best_pair(
            ("beta2", "beta3"), beta2, beta3, lambda value: plain + value * visual + column, val.labels
        )
        classifier.beta2.fill_(found.taken["beta2"])
        classifier.beta3.fill_(found.taken["beta3"])
        return found

    def for_classes(self, classifier: ParameterFreeAttention, inputs: ClassifierInputs) -> ParameterFreeAttention:
        other = self.classifier(inputs)
        other.beta2, other.beta3 = classifier.beta2, classifier.beta3
        return other


def grid(limit: float, steps: int) -> list[float]:
    """From 0.001 upwards in equal steps; the limit itself is not among them."""
    return [0.001 + step * (limit - 0.001) / steps for step in range(steps)]
