"""ZS-LP and CLAP: a linear probe by gradient steps whose rows start at the class texts (CVPR 2024, arXiv 2312.12730).

Official code: jusiro/CLAP dbdf409, trainers/adapters.py and configs/trainers/SGD_lr1e-1_B256_ep300.yaml. A class is one
vector of any length; the forward pass makes it unit, and its own length (about 10 in CLIP) is never changed by that and
sets how far a step turns it. Published: SGD 0.1, momentum 0.9, no decay, batch 256, 300 epochs, cosine, one warm-up
epoch at 1e-5.

start       text: the un-normalised text feature of the hand template; random: N(0, 2/d)
constraint  none, or l2: CLAP's term, mean over classes of a_k |w_k - t_k|^2, where a_k is the mean zero-shot
            probability of class k over its own training images, fixed. A class without one is held with a_k = 1

Left out: CLAP's "adaptative" option, which estimates a_k again in each epoch, and its other constraints. The published
training set is 20 augmented passes, stored once; here it is what the suite stores. ImageNet's seven templates are not
used: one template per set.
"""

import torch
from torch import Tensor

from cones.methods.class_vectors import ClassVectors, mean_cosines
from cones.methods.classifier import Classifier, ClassifierInputs, ClassifierMethod, Recipe, choice
from cones.models.dual_encoder import ImageFeatures
from cones.models.losses import LossTerm, LossTerms

METHOD = {
    "name": "zs_linear_probe",
    "classifier": "ZeroShotStartedProbe",
    "not_for_detectors": "a linear layer on one vector of an image; a detector's own heads are what linear probing"
    " trains",
    "label": "Linear probe started from text",
    "block": "adapters",
    "has_vectors": False,
    "survey": {
        "paper": "CVPR 2024, arXiv 2312.12730",
        "idea": "a linear probe by gradient steps whose rows start at the class texts; CLAP holds them there by option",
        "attaches": "class vectors",
        "trains": "d values a class",
        "quirk": "trained on 20 augmented passes as published, here on those the suite stores",
    },
}


class AnchoredVectors(ClassVectors):
    """Class vectors (K, d) that a penalty holds at their texts `anchors`, by a weight (K,) of each."""

    def __init__(self, vectors: Tensor, scale: float, anchors: Tensor, weights: Tensor):
        super().__init__(vectors, scale, trains=True)
        self.register_buffer("anchors", anchors)
        self.register_buffer("weights", weights)

    def penalty(self) -> Tensor:
        return (self.weights * (self.vectors - self.anchors).square().sum(-1)).mean()


class ZeroShotStartedProbe(ClassifierMethod):
    """K vectors behind the text encoder train by cross-entropy; with CLAP's term they stay near their texts."""

    serves = frozenset({"classification", "dense"})
    recipe = Recipe(
        optimiser="sgd",
        learning_rate=0.1,
        weight_decay=0.0,
        epochs=300,
        batch_size=256,
        options={"start": "text", "constraint": None},
    )

    def classifier(self, inputs: ClassifierInputs) -> ClassVectors:
        own = self.options(inputs)
        is_random = choice("start", own["start"], ("text", "random")) == "random"
        is_held = choice("constraint", own["constraint"], (None, "l2")) is not None
        text = inputs.class_texts() if is_held or not is_random else None
        vectors = random_rows(inputs) if is_random else text
        if not is_held:
            return ClassVectors(vectors, inputs.logit_scale, trains=True)
        return AnchoredVectors(vectors, inputs.logit_scale, text, own_probabilities(text, inputs))

    def loss_terms(self, classifier: Classifier, images: ImageFeatures, labels: Tensor) -> LossTerms:
        terms = super().loss_terms(classifier, images, labels)
        if isinstance(classifier, AnchoredVectors):
            count = terms["cross_entropy"].normaliser
            terms["constraint"] = LossTerm(classifier.penalty() * count, count)
        return terms


def random_rows(inputs: ClassifierInputs) -> Tensor:
    """(K, d) from N(0, 2/d); no text is encoded for them."""
    images = inputs.train.features.pooled
    shape = len(inputs.names), images.shape[1]
    return (torch.randn(shape, generator=inputs.generator) * (2 / shape[1]) ** 0.5).to(images)


def own_probabilities(text: Tensor, inputs: ClassifierInputs) -> Tensor:
    """(K,): the mean over a class's training images of the zero-shot probability of that class."""
    labels = inputs.train.labels
    probabilities = (inputs.logit_scale * mean_cosines(inputs.train.features.pooled, text)).softmax(-1)
    weights = torch.ones(len(text)).to(text)
    for label in labels.unique().tolist():
        weights[label] = probabilities[labels == label, label].mean()
    return weights
