"""TaskRes: a residual beside the text feature of each class (CVPR 2023, arXiv 2211.10277).

Official code: geekyutao/TaskRes 5195359, trainers/taskres.py, train_regular.sh, configs/trainers/TaskRes. t' = t +
alpha x with the un-normalised text feature t of the hand template, x (K, d) from zero; t' is then made unit. Published:
Adam (its decay of 5e-4 in the gradient) 2e-3, batch 256, cosine, one warm-up epoch at 1e-5, 200 epochs for 8 and 16
shots and 100 for fewer, alpha 0.5; Flowers alone has alpha 1, ImageNet a rate of 2e-4: one value for all sets here.

The paper's learnable alpha is not in the code. Left out: the "enhanced base", a text projection tuned before, whose
training is not in the repository; the mean over eight templates of ImageNet. Class names have spaces where the code
keeps underscores.
"""

import torch
from torch import Tensor, nn

from cones.methods.classifier import Classifier, ClassifierInputs, ClassifierMethod, Recipe
from cones.models.dual_encoder import ImageFeatures, scaled_cosines

METHOD = {
    "name": "taskres",
    "classifier": "TaskRes",
    "label": "TaskRes",
    "block": "adapters",
    "has_vectors": False,
    "survey": {
        "paper": "CVPR 2023, arXiv 2211.10277",
        "idea": "A residual is added to the text feature of each class.",
        "attaches": "class vectors",
        "trains": "d values a class",
        "quirk": "Published with other values on Flowers and ImageNet; one for all here. ConES with"
        " alpha 1 and no text below it.",
    },
}


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

    recipe = Recipe(
        optimiser="adam",
        learning_rate=2e-3,
        epochs=200,
        batch_size=256,
        options={"alpha": 0.5},
    )

    def classifier(self, inputs: ClassifierInputs) -> TextResidual:
        return TextResidual(inputs.class_texts(), self.options(inputs)["alpha"], inputs.logit_scale)
