"""VCD, classification by description: scores of a class's descriptors, averaged (ICLR 2023, arXiv 2210.07183).

Official code: sachit-menon/classify_by_description_release d1a3d89, load.py, loading_helpers.py, descriptor_strings.py.
score(k) = mean over the descriptors of class k of cos(image, "{class}, which has {descriptor}"): the mean of scores,
not of features that are made unit again (CuPL). There is no "a photo of". Other aggregations of the code: max, sum. The
ending is "" (its default) or "." (its ImageNet); the order "append" is "which has {descriptor}, {class}".

The code's rule for the clause tests the letter "a" and not the word, so that any descriptor that begins with one gives
"which is …"; it is kept. A class without descriptors has one empty one, as there. What differs: the published
descriptors are GPT-3's, ours are this project's own words (`written_texts.py`). Scores have CLIP's scale, which changes
no answer.
"""

import torch
from torch import Tensor

from baselines.training_free.written_texts import texts_about
from cones.methods.classifier import Classifier, ClassifierInputs, ClassifierMethod, Recipe, choice
from cones.models.dual_encoder import ImageFeatures, unit

METHOD = {
    "name": "vcd",
    "classifier": "VCD",
    "label": "VCD",
    "block": "training_free",
    "is_tuned": False,
    "has_vectors": False,
    "survey": {
        "paper": "ICLR 2023, arXiv 2210.07183",
        "idea": "A class's score is the mean over its descriptors.",
        "attaches": "texts",
        "trains": "nothing",
        "quirk": "Descriptors are the project's own; the code's rule for the clause tests one letter and is kept.",
    },
}


class AveragedScores(Classifier):
    """Unit texts (T, d), of each class `counts` in a row -> the mean, greatest or summed cosine of each class."""

    def __init__(self, texts: Tensor, counts: list[int], scale: float, aggregation: str):
        super().__init__()
        self.scale, self.counts, self.aggregation = scale, counts, aggregation
        self.register_buffer("texts", texts)

    def forward(self, images: ImageFeatures) -> Tensor:
        cosines = (unit(images.pooled) @ self.texts.T).split(self.counts, dim=1)  # K of (B, descriptors)
        aggregate = {"mean": Tensor.mean, "max": Tensor.amax, "sum": Tensor.sum}[self.aggregation]
        return self.scale * torch.stack([aggregate(of_class, 1) for of_class in cosines], dim=1)


class VCD(ClassifierMethod):
    """Nothing trains, nothing is chosen."""

    labels = "none"
    unseen_classes = True
    recipe = Recipe(epochs=0, options={"aggregation": "mean", "order": "prepend", "ending": ""})

    def classifier(self, inputs: ClassifierInputs) -> AveragedScores:
        own = self.options(inputs)
        order = choice("order", own["order"], ("prepend", "append"))
        texts = [
            [described(name, descriptor, order, own["ending"]) for descriptor in about.descriptors or ("",)]
            for name, about in zip(inputs.names, texts_about(inputs.dataset, inputs.names))
        ]
        features = unit(inputs.text([text for of_class in texts for text in of_class]))
        kind = choice("aggregation", own["aggregation"], ("mean", "max", "sum"))
        return AveragedScores(features, [len(of_class) for of_class in texts], inputs.logit_scale, kind)

    def for_classes(self, classifier: AveragedScores, inputs: ClassifierInputs) -> AveragedScores:
        return self.classifier(inputs)


def described(name: str, descriptor: str, order: str = "prepend", ending: str = "") -> str:
    """ "cat, which has pointed ears"."""
    parts = [name, clause(descriptor)]
    return ", ".join(parts if order == "prepend" else parts[::-1]) + ending


def clause(descriptor: str) -> str:
    """The descriptor as a relative clause, by the code's rule."""
    if descriptor.startswith(("a", "used")):
        return f"which is {descriptor}"
    if descriptor.startswith(("has", "often", "typically", "may", "can")):
        return f"which {descriptor}"
    return f"which has {descriptor}"
