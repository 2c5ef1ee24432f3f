"""ProGrad: CoOp that takes no step against what zero-shot knows (ICCV 2023, arXiv 2205.14865).

Official code: BeierZhu/Prompt-align 1b76203, ProGrad.public/trainers/prograd.py, train.py, scripts; the rule lies in
its Dassl.ProGrad.pytorch, dassl/engine/trainer.py. Two losses that are never added: x, cross-entropy, and k = T² times
the cross-entropy of the student's softmax with the teacher's at temperature T (its gradient is that of KL). For each
parameter with gradients a of x and b of k: if they point apart, lambda times a's part along b is taken from a; the
optimiser gets a, and adds its decay after that. Lambda = 1, T = 1, SGD 0.002, batch 32; epochs as CoOp's.

The start is M = 16 vectors, zeros and then the words before the name in the template, so that training does not start
at zero-shot: zero rows are real tokens. Left out: the code's templates, which put the type first ("a type of pet, a
photo of a {}."); here those of the sets, and "a photo of a" where a template begins with the name.

On a detector (`GuardedContext`) x is all of its losses, and k is the cross-entropy of the student's class probabilities
with those of the caption of names, per class (sigmoids), at the place that fits each training object best: an object
stands for an image. The start is CoOp's there, random; lambda and T are 1.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.text_prompts.context import (
    WORDS,
    ContextClassifier,
    ContextTexts,
    context_of_words,
    cross_entropy,
    images_in,
)
from baselines.text_prompts.coop import CoOp, SharedContext
from cones.methods.classifier import ClassifierInputs, Recipe
from cones.methods.method import PromptInputs
from cones.methods.places import logits_of_objects, objects_in
from cones.methods.prompts import FixedPrompt, SoftCaption
from cones.models.detector import GroundedDetector, Predictions, Target
from cones.models.dual_encoder import ImageFeatures, unit
from cones.models.losses import LossTerm, LossTerms
from cones.models.missing_places import reason_against_scored_places

METHOD = {
    "name": "prograd",
    "class": "GuardedContext",
    "classifier": "ProGrad",
    "label": "ProGrad",
    "block": "text_prompts",
    "inputs": ["text_encoder", "text_states"],
    "start_std": "word",
    "vectors_alone": True,
    "has_vectors": False,
    "survey": {
        "paper": "ICCV 2023, arXiv 2205.14865",
        "idea": "CoOp without the part of a step that points against zero-shot",
        "attaches": "text encoder, input; gradients",
        "trains": "16 vectors, shared by all classes",
        "quirk": "its start has zero rows, which are real tokens, so that it is not zero-shot",
    },
}
TEACHER = "teacher"


class ContextWithTeacher(ContextClassifier):
    """A context whose teacher is zero-shot: texts (K, d), unit."""

    def __init__(self, texts: ContextTexts, context: Tensor, scale: float, *, teacher: Tensor, own: dict[str, Any]):
        super().__init__(texts, context, scale)
        self.temperature, self.share = own["temperature"], own["share"]
        self.register_buffer("teacher", teacher, persistent=False)

    def disagreement(self, images: ImageFeatures, logits: Tensor) -> Tensor:
        """k, summed over the images."""
        with torch.no_grad():
            taught = (self.compare(images, self.teacher) / self.temperature).softmax(-1)
        found = F.log_softmax(logits / self.temperature, -1)
        return -(self.temperature**2) * (taught * found).sum()


class ProGrad(CoOp):
    """`share` is the published lambda: 1 takes all of the part that points against the teacher, 0 is CoOp."""

    separate_terms = (TEACHER,)
    recipe = Recipe(
        optimiser="sgd",
        learning_rate=2e-3,
        epochs=200,
        options={"vectors": 16, "words": "template", "share": 1.0, "temperature": 1.0},
    )

    def classifier(self, inputs: ClassifierInputs) -> ContextWithTeacher:
        own = self.options(inputs)
        words = own["words"]
        if words == "template":
            words = inputs.template.partition("{}")[0].strip() or WORDS
        context = context_of_words(inputs.encoder, inputs.tokenizer, words)
        zeros = context.new_zeros(max(own["vectors"] - len(context), 0), context.shape[1])
        return self.with_context(inputs, torch.cat([zeros, context]))

    def with_context(self, inputs: ClassifierInputs, context: Tensor) -> ContextWithTeacher:
        own, texts = self.options(inputs), self.texts(inputs, context.shape[-2])
        return ContextWithTeacher(texts, context, inputs.logit_scale, teacher=unit(inputs.class_texts()), own=own)

    def loss_terms(self, classifier: ContextWithTeacher, images: ImageFeatures, labels: Tensor) -> LossTerms:
        logits = classifier(images)
        taught = LossTerm(classifier.disagreement(images, logits), images_in(labels))
        return {"cross_entropy": cross_entropy(logits, labels), TEACHER: taught}

    def adjust_gradients(self, classifier: ContextWithTeacher, separate: dict[str, dict[str, Tensor]]) -> None:
        for name, parameter in classifier.named_parameters():
            if (taught := separate[TEACHER].get(name)) is not None:
                parameter.grad = without_part_against(parameter.grad, taught, classifier.share)


class GuardedContext(SharedContext):
    """On a detector: the context of CoOp, without the part of a step that points against the caption of names."""

    separate_terms = (TEACHER,)

    def supports(self, model_name: str) -> str | None:
        return super().supports(model_name) or reason_against_scored_places(model_name)

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> SoftCaption:
        caption = super().prompt(model, prompt_inputs)
        caption.names = FixedPrompt(prompt_inputs.text_states)
        return caption

    def loss_terms(
        self, model: GroundedDetector, prompt: SoftCaption, predictions: Predictions, targets: list[Target]
    ) -> LossTerms:
        with torch.no_grad():
            names = model.ground(predictions.pyramid, prompt.names.for_images(predictions.pyramid))
            taught = logits_of_objects(model, names, targets).sigmoid()  # (G, K)
        found = logits_of_objects(model, predictions, targets)
        away = F.binary_cross_entropy_with_logits(found, taught, reduction="sum")
        return {TEACHER: LossTerm(away, objects_in(targets))}

    def normalisers(self, targets: list[Target], size: tuple[int, int]) -> dict[str, Tensor]:
        return {TEACHER: objects_in(targets)}

    def adjust_gradients(
        self, trained: dict[str, nn.Parameter], step: int, separate: dict[str, dict[str, Tensor]]
    ) -> None:
        for name, taught in separate[TEACHER].items():
            trained[name].grad = without_part_against(trained[name].grad, taught, 1.0)


def without_part_against(gradient: Tensor, other: Tensor, share: float) -> Tensor:
    """`gradient`, without a share of its part along `other` where the two point apart."""
    product = (gradient * other).sum()
    if product >= 0:
        return gradient
    return gradient - share * product / other.square().sum() * other
