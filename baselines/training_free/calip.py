"""CALIP: positions of an image and class texts exchange what they hold, without training (AAAI 2023, arXiv 2209.14169).

Official code: ZiyuGuo99/CALIP 83e21b6, run_imagenet.py, utils.py, clip/model.py. With g the pooled feature, S (P, d)
the other positions and W the texts, all unit: A = 2 S W. Visual side: V_k = sum over positions of softmax over
positions(A) S. Text side: T_p = sum over classes of softmax over classes(A) W, pooled by its mean plus its greatest
value over positions. Neither is made unit. logits = 100 g W + beta2 100 g V + beta3 100 T W; 2 and 100 are constants of
the code. beta2 and beta3 start at 0.001 and never reach their limits (2 and 0.1 for ImageNet) in 200 steps each, beta2
outside, the first best wins.

What differs: the code searches on the labels of the evaluation images; here on validation, and without validation
images beta2 and beta3 stay 0, which is zero-shot. Left out: CALIP-FS, whose code is not in the repository.

On a detector (`AttentionAtPlaces`) every place (a point of its maps, a query) has the part of g, and the image's places
are S; texts are the mean rows of the classes as the places' head compares them. A place's own T needs no pooling. What
is added to a place's logits is beta2 100 f V + beta3 100 T W, of 3 values each on validation instead of 200, as each
pair costs a pass over the validation images; 0, zero-shot, is tried first.
"""

from itertools import product

import torch
from torch import Tensor

from cones.methods.classifier import Choice, Classifier, ClassifierInputs, ClassifierMethod, Recipe, Tune
from cones.methods.first_best import first_best_pair
from cones.methods.method import PromptInputs
from cones.methods.places import ChangedScores, class_means, on_rows
from cones.methods.prompts import FixedPrompt
from cones.models.detector import GroundedDetector, Predictions
from cones.models.dual_encoder import ImageFeatures, unit

METHOD = {
    "name": "calip",
    "class": "AttentionAtPlaces",
    "classifier": "CALIP",
    "features": ["patches"],
    "label": "CALIP",
    "block": "training_free",
    "inputs": ["text_states"],
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


class AttentionAtPlaces(ChangedScores):
    """On a detector: nothing trains; two numbers are chosen, and serve any classes."""

    unseen_classes = True
    options = {"scale": 100.0, "beta2": 0.0, "beta3": 0.0}  # noqa: RUF012 (nobody changes it)
    candidates = tuple({"beta2": one, "beta3": other} for one, other in product((0.0, 0.01, 0.1), repeat=2))

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> FixedPrompt:
        prompt = FixedPrompt(prompt_inputs.text_states)
        for name, value in self.own(prompt_inputs.settings).items():
            prompt.register_buffer(name, torch.tensor(float(value)))
        return prompt

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return False

    def adjust_predictions(self, model: GroundedDetector, prompt: FixedPrompt, predictions: Predictions) -> Predictions:
        places, positions = model.scored_places(predictions), predictions.language.class_positions
        texts = unit(class_means(places.texts, positions))  # (B, K, C)
        features = unit(places.features)  # (B, P, C)
        affinity = 2 * features @ texts.transpose(1, 2)  # (B, P, K)
        seen = affinity.softmax(1).transpose(1, 2) @ features  # (B, K, C): one vector of the image for each class
        told = affinity.softmax(2) @ texts  # (B, P, C)
        visual, textual = features @ seen.transpose(1, 2), told @ texts.transpose(1, 2)  # (B, P, K)
        added = prompt.scale * (prompt.beta2 * visual + prompt.beta3 * textual)
        return model.with_logits(predictions, places.logits + on_rows(added, positions))


def grid(limit: float, steps: int) -> list[float]:
    """From 0.001 upwards in equal steps; the limit itself is not among them."""
    return [0.001 + step * (limit - 0.001) / steps for step in range(steps)]
