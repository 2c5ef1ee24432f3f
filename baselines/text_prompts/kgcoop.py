"""KgCoOp: CoOp whose class texts are held near the hand-written ones (CVPR 2023, arXiv 2303.13283).

Official code: htyao89/KgCoOp c43ccc3, KgCoOp/trainers/kgcoop.py, train.py, configs/trainers/KgCoOp, scripts. Loss:
cross-entropy + W (1 - mean over classes of cos(learned text, text in the set's template)). M = 4, always started from
"a photo of a"; W = 8 (scripts; 1 in train.py), SGD 0.002, batch 128, 100 epochs.

Code and paper (`form`): the paper writes the mean of squared distances with weight 8, which is twice the code's term.
Left out: meta-net, bias vector and adapter, which the code declares and never trains; its list of templates, which is
here the set's own.
"""

import torch
from torch import Tensor

from baselines.text_prompts.context import START, WORDS, ContextClassifier, ContextTexts, cross_entropy, of_classes
from baselines.text_prompts.coop import CoOp
from cones.methods.classifier import ClassifierInputs, Recipe, choice
from cones.models.dual_encoder import ImageFeatures, unit
from cones.models.losses import LossTerms

METHOD = {
    "name": "kgcoop",
    "classifier": "KgCoOp",
    "label": "KgCoOp",
    "block": "text_prompts",
    "has_vectors": False,
    "survey": {
        "paper": "CVPR 2023, arXiv 2303.13283",
        "idea": "CoOp held near the hand-written texts of the classes",
        "attaches": "text encoder, input",
        "trains": "4 vectors, shared by all classes",
        "quirk": "the code's weight of its extra loss is not the paper's in every setting (`form`)",
    },
}


class AnchoredContext(ContextClassifier):
    """A context whose class texts are pulled towards anchors (K, d), unit."""

    def __init__(self, texts: ContextTexts, context: Tensor, scale: float, *, anchors: Tensor, weight: float):
        super().__init__(texts, context, scale)
        self.weight = weight
        self.register_buffer("anchors", anchors, persistent=False)

    def distance(self, texts: Tensor) -> Tensor:
        """Mean over the classes of 1 - cos(learned text, anchor)."""
        return 1 - torch.einsum("kd,kd->k", unit(texts), self.anchors).mean()


class KgCoOp(CoOp):
    """With weight 0 it is CoOp; `weight` is the code's or the paper's as `form` says."""

    recipe = Recipe(
        optimiser="sgd",
        learning_rate=2e-3,
        epochs=100,
        batch_size=128,
        options={**START, "words": WORDS, "weight": 8.0, "form": "code"},
    )

    def with_context(self, inputs: ClassifierInputs, context: Tensor) -> AnchoredContext:
        own, texts = self.options(inputs), self.texts(inputs, context.shape[-2])
        weight = own["weight"] * (2 if choice("form", own["form"], ("code", "paper")) == "paper" else 1)
        anchors = unit(inputs.class_texts())
        return AnchoredContext(texts, context, inputs.logit_scale, anchors=anchors, weight=weight)

    def loss_terms(self, classifier: AnchoredContext, images: ImageFeatures, labels: Tensor) -> LossTerms:
        texts = classifier.class_texts()
        return {
            "cross_entropy": cross_entropy(classifier.compare(images, texts), labels),
            "anchor": of_classes(classifier.weight * classifier.distance(texts), labels),
        }
