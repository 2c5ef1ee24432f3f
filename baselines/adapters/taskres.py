"""TaskRes: a residual beside the text feature of each class (CVPR 2023, arXiv 2211.10277).

Official code: geekyutao/TaskRes 5195359, trainers/taskres.py, train_regular.sh, configs/trainers/TaskRes. t' = t +
alpha x with the un-normalised text feature t of the hand template, x (K, d) from zero; t' is then made unit. Published:
Adam (its decay of 5e-4 in the gradient) 2e-3, batch 256, cosine, one warm-up epoch at 1e-5, 200 epochs for 8 and 16
shots and 100 for fewer, alpha 0.5; Flowers alone has alpha 1, ImageNet a rate of 2e-4: one value for all sets here.

The paper's learnable alpha is not in the code. Left out: the "enhanced base", a text projection tuned before, whose
training is not in the repository; the mean over eight templates of ImageNet. Class names have spaces where the code
keeps underscores.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from cones.methods.classifier import Classifier, ClassifierInputs, ClassifierMethod, Recipe
from cones.methods.method import PromptInputs, TuningMethod
from cones.methods.prompts import FixedPrompt, PromptContext
from cones.models.detector import GroundedDetector
from cones.models.dual_encoder import ImageFeatures, scaled_cosines
from cones.models.language import LanguageFeatures

METHOD = {
    "name": "taskres",
    "class": "ClassResiduals",
    "classifier": "TaskRes",
    "label": "TaskRes",
    "block": "adapters",
    "inputs": ["text_states"],
    "has_vectors": False,
    "survey": {
        "paper": "CVPR 2023, arXiv 2211.10277",
        "idea": "a residual is added to the text feature of each class",
        "attaches": "class vectors",
        "trains": "d values a class",
        "quirk": "published with other values on Flowers and ImageNet; one for all here. ConES with"
        " alpha 1 and no text below it",
    },
}

ALPHA = 0.5


class TextResidual(Classifier):
    """Class vectors text + alpha * residual, both (K, d)."""

    def __init__(self, text: Tensor, alpha: float, scale: float):
        super().__init__()
        self.alpha, self.scale = alpha, scale
        self.register_buffer("text", text)
        self.residual = nn.Parameter(torch.zeros_like(text))

    def forward(self, images: ImageFeatures) -> Tensor:
        return scaled_cosines(images.pooled, self.text + self.alpha * self.residual, self.scale)


class TaskRes(ClassifierMethod):
    """Only the residual trains; at its start the classifier is zero-shot."""

    serves = frozenset({"classification", "multi_label"})
    recipe = Recipe(
        optimiser="adam",
        learning_rate=2e-3,
        epochs=200,
        batch_size=256,
        options={"alpha": ALPHA},
    )

    def classifier(self, inputs: ClassifierInputs) -> TextResidual:
        return TextResidual(inputs.class_texts(), self.options(inputs)["alpha"], inputs.logit_scale)


class NamesWithResiduals(FixedPrompt):
    """The states of the class names; to each row of class k alpha x_k is added, x (K, D) from zero."""

    def __init__(self, text_states: LanguageFeatures):
        super().__init__(text_states)
        self.residuals = nn.Parameter(torch.zeros_like(text_states.class_means()[0]))  # (K, D)

    def forward(self, context: PromptContext) -> LanguageFeatures:
        text = super().forward(context)
        added = text.class_positions[0].T.to(text.hidden.dtype) @ self.residuals  # (L, D)
        return replace(text, hidden=text.hidden + ALPHA * added)


class ClassResiduals(TuningMethod):
    """On a detector: only the residuals train; at their start the detector is zero-shot."""

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> NamesWithResiduals:
        return NamesWithResiduals(prompt_inputs.text_states)

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return name == "prompt.residuals"
