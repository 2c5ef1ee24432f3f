"""KgCoOp: CoOp whose class texts are held near the hand-written ones (CVPR 2023, arXiv 2303.13283).

Official code: htyao89/KgCoOp c43ccc3, KgCoOp/trainers/kgcoop.py, train.py, configs/trainers/KgCoOp, scripts. Loss:
cross-entropy + W (1 - mean over classes of cos(learned text, text in the set's template)). M = 4, always started from
"a photo of a"; W = 8 (scripts; 1 in train.py), SGD 0.002, batch 128, 100 epochs.

Code and paper (`form`): the paper writes the mean of squared distances with weight 8, which is twice the code's term.
Left out: meta-net, bias vector and adapter, which the code declares and never trains; its list of templates, which is
here the set's own.

On a detector the text of a class is the mean of the encoder's output over the rows of its name, the anchor that of the
caption of class names alone; the term stands beside the detector's loss with the code's weight. The same term on ConES
is `cones_kg` (`baselines/controls.py`).
"""

import torch
from torch import Tensor

from baselines.text_prompts.context import START, WORDS, ContextClassifier, ContextTexts, cross_entropy, of_classes
from baselines.text_prompts.coop import CoOp, SharedContext
from cones.methods.classifier import ClassifierInputs, Recipe, choice
from cones.methods.method import PromptInputs, TuningMethod
from cones.methods.places import images_in
from cones.methods.prompts import Prompt
from cones.models.detector import GroundedDetector, Predictions, Target
from cones.models.dual_encoder import ImageFeatures, unit
from cones.models.losses import LossTerm, LossTerms

METHOD = {
    "name": "kgcoop",
    "class": "AnchoredSharedContext",
    "classifier": "KgCoOp",
    "label": "KgCoOp",
    "block": "text_prompts",
    "inputs": ["text_encoder", "text_states"],
    "has_vectors": False,
    "start_std": "word",
    "vectors_alone": True,
    "survey": {
        "paper": "CVPR 2023, arXiv 2303.13283",
        "idea": "CoOp held near the hand-written texts of the classes",
        "attaches": "text encoder, input",
        "trains": "4 vectors, shared by all classes",
        "quirk": "the code's weight of its extra loss is not the paper's in every setting (`form`)",
    },
}
WEIGHT = 8.0  # of the anchor's term in the published scripts


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
        options={**START, "words": WORDS, "weight": WEIGHT, "form": "code"},
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


class Anchored(TuningMethod):
    """On a detector: a term that pulls each class's mean row towards that of the caption of names, `anchors`."""

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> Prompt:
        prompt = super().prompt(model, prompt_inputs)
        prompt.register_buffer("anchors", prompt_inputs.text_states.class_means()[0], persistent=False)  # (K, D)
        return prompt

    def loss_terms(
        self, model: GroundedDetector, prompt: Prompt, predictions: Predictions, targets: list[Target]
    ) -> LossTerms:
        """The term does not depend on the images: its share goes with those of a part of the batch."""
        learned = predictions.language.class_means()[0]  # (K, D)
        distance = 1 - torch.cosine_similarity(learned, prompt.anchors, dim=-1).mean()
        return {"anchor": LossTerm(WEIGHT * distance * len(targets), images_in(targets))}

    def normalisers(self, targets: list[Target], size: tuple[int, int]) -> dict[str, Tensor]:
        return {"anchor": images_in(targets)}


class AnchoredSharedContext(Anchored, SharedContext):
    """The context of CoOp with the anchor's term."""
