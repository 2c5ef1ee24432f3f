"""Linear probing: of a detector only the heads' last projections train; with two encoders, a regression on features."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.logistic_regression import BinaryFits, Fits
from cones.evaluation.mean_average_precision import mean_average_precision
from cones.methods.classifier import Choice, Classifier, ClassifierInputs, ClassifierMethod, Tune
from cones.methods.method import PromptInputs, TuningMethod
from cones.methods.prompts import FixedPrompt, Prompt
from cones.models.detector import GroundedDetector
from cones.models.dual_encoder import ImageFeatures
from cones.runtime.errors import ConesError

METHOD = {
    "name": "linear_probing",
    "class": "LinearProbing",
    "classifier": "LinearProbe",
    "label": "Linear probing",
    "block": "peft",
    "inputs": ["text_states"],
    "has_vectors": False,
    "survey": {
        "paper": "ICML 2021, arXiv 2103.00020",
        "idea": "logistic regression on image features, started from nothing",
        "attaches": "image vector",
        "trains": "d + 1 values a class",
        "quirk": "its strength is chosen on validation by a bisection that prefers the smaller on a plateau",
    },
}


class LinearProbing(TuningMethod):
    """Image encoder frozen, in eval mode; head in train mode, its dropouts active."""

    not_for_generators = "the UNet's output is the picture itself: there is no head to probe"

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> FixedPrompt:
        return FixedPrompt(prompt_inputs.text_states)

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return name.removeprefix("model.") in model.projections

    def set_modes(self, model: GroundedDetector, prompt: Prompt) -> None:
        model.train()
        for module in model.image_encoder():
            module.eval()


WITHOUT_CHOICE = 1.0  # C, scikit-learn's own
C_GRID = (1e6, 1e4, 1e2, 1.0, 1e-2, 1e-4, 1e-6)
ROUNDS = 8


class Probe(Classifier):
    """logits = features W^T + b, in double precision as they were fitted; features as they come, not unit."""

    def __init__(self, classes: int, width: int):
        super().__init__()
        self.register_buffer("weight", torch.zeros(classes, width, dtype=torch.float64))
        self.register_buffer("bias", torch.zeros(classes, dtype=torch.float64))

    def forward(self, images: ImageFeatures) -> Tensor:
        return F.linear(images.pooled.double(), self.weight, self.bias).float()


class LinearProbe(ClassifierMethod):
    """The linear probe of the CLIP papers: multinomial logistic regression on frozen features, its strength chosen on
    validation (CLIP, arXiv 2103.00020; KaiyangZhou/CoOp ff61507, lpclip/linear_probe.py and feat_extractor.py).

    L2 on the weights and not on the bias, L-BFGS of scikit-learn, at most 1000 iterations, features neither scaled nor
    made unit. C is the best of seven values, then bisected in log10 eight times between a tenth and ten times it. As in
    the code, the first best of the grid wins and a tie of the bisection goes to the smaller C, so that a plateau of
    validation gives a tenth of the largest best C. Published seeds: 10 (the script runs 3). A class without a training
    image is never answered.

    With several classes a picture it is one binary regression for each class on the labels that are known, all of one
    C: the first of the seven with the best mAP on validation, 1 without validation. No such form is published.
    """

    serves = frozenset({"classification", "multi_label"})
    selection = "val"

    def classifier(self, inputs: ClassifierInputs) -> Probe:
        return Probe(len(inputs.names), inputs.train.features.pooled.shape[1])

    def fit(self, classifier: Probe, inputs: ClassifierInputs, tune: Tune) -> Choice | None:
        if inputs.train.labels.ndim == 2:
            return fit_each_class(classifier, inputs)
        if not len(inputs.val):
            raise ConesError(
                "the linear probe chooses its strength on validation images, and there are none",
                where=inputs.dataset,
                next_step="give the set a validation split, or take the arm out",
            )
        fits = Fits(inputs.train, inputs.val)
        grid = [(strength, fits.accuracy(strength)) for strength in C_GRID]
        best = max(grid, key=lambda one: one[1])[0]  # the first of equals: the largest
        rounds = bisected(best, fits.accuracy)
        taken = rounds[-1].result
        fits.write(taken, classifier.weight, classifier.bias)
        tried = [*grid, *((each.left, each.left_accuracy) for each in rounds)]
        tried += [(each.right, each.right_accuracy) for each in rounds]
        return Choice({"C": taken}, [{"C": strength, "accuracy": accuracy} for strength, accuracy in tried])


def fit_each_class(classifier: Probe, inputs: ClassifierInputs) -> Choice | None:
    """Write the binary regressions of all classes; what was tried, or None without validation images."""
    fits = BinaryFits(inputs.train)
    if not len(inputs.val):
        fits.write(WITHOUT_CHOICE, classifier.weight, classifier.bias)
        return None
    tried = []
    for strength in C_GRID:
        fits.write(strength, classifier.weight, classifier.bias)
        found = mean_average_precision(classifier(inputs.val.features).cpu(), inputs.val.labels.cpu(), inputs.names)
        tried.append({"C": strength, "mean_ap": found.mean or 0.0})
    best = max(tried, key=lambda one: one["mean_ap"])["C"]  # the first of equals: the largest
    fits.write(best, classifier.weight, classifier.bias)
    return Choice({"C": best}, tried)


class Round(NamedTuple):
    """One round of the bisection: both ends with their accuracy, and the end that is its result."""

    left: float
    left_accuracy: float
    right: float
    right_accuracy: float
    result: float


def bisected(best: float, accuracy: Callable[[float], float]) -> list[Round]:
    """The rounds of the bisection around the best C of the grid."""
    left, right, rounds = best * 0.1, best * 10, []
    for _ in range(ROUNDS):
        at_left, at_right = accuracy(left), accuracy(right)
        middle = 10 ** ((math.log10(left) + math.log10(right)) / 2)
        goes_right = at_left < at_right
        rounds.append(Round(left, at_left, right, at_right, right if goes_right else left))
        left, right = (middle, right) if goes_right else (left, middle)
    return rounds
