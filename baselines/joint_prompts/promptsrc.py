"""PromptSRC: IVLP held near the frozen model, and averaged over its epochs (ICCV 2023, arXiv 2307.06948).

Official code: muzairkhattak/PromptSRC bb95c77, trainers/promptsrc.py, trainers/imagenet_templates.py, configs/trainers/
PromptSRC. Prompts are IVLP's (ivlp.py). With unit features f, t of the prompted and f0, t0 of the frozen model, t0 of
the mean of 60 templates' features, which are not made unit before it, the loss is cross-entropy + 25 mean |t - t0| +
10 mean |f - f0| + sum p0 (log p0 - log p) / (B K), p0 and p being the classes' probabilities of the frozen and the
prompted model. The frozen model sees the same cut-out of a picture. After E epochs the prompts become the mean of what
every epoch left, weighted by a normal density over 1 … E with mean 15 and spread 1. SGD 0.0025, batch 4, 20 epochs,
n = 4, J = 9 of 12: 46,080 values in ViT-B/16. The answer is the prompted model's alone.

This is the published setting for base to new classes. For few shots 50 epochs with (30, 30) or (45, 5) by data set,
for other data sets J = 3 with (6, 10) are published. Where `max_steps` ends a training early, E is the number of epochs
that were begun; with fewer than `mean` nearly all weight is on the last of them. `spread` None: no average.

What differs: encoders run in the precision of the cell (float16 there); only the prompts are averaged, where the code
averages the frozen weights with them, which gives them back. Its mixed-precision branch does not run.
"""

from math import ceil
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.joint_prompts.gaussian_average import GaussianAverage, gaussian_weights
from baselines.joint_prompts.ivlp import IVLP, OPTIONS
from baselines.joint_prompts.prompted import PromptedEncoders
from baselines.text_prompts.context import cross_entropy, images_in, of_classes
from cones.methods.classifier import ClassifierInputs, Tune
from cones.methods.recipes import steps_of, steps_per_epoch
from cones.models.dual_encoder import scaled_cosines, unit
from cones.models.losses import LossTerm, LossTerms
from cones.runtime.strict import read_yaml

METHOD = {
    "name": "promptsrc",
    "classifier": "PromptSRC",
    "not_for_detectors": "holds one vector of the prompted image at that of the frozen encoder; two passes of a"
    " detector have no places in common",
    "label": "PromptSRC",
    "block": "joint_prompts",
    "has_vectors": False,
    "trains_image_encoder": True,
    "survey": {
        "paper": "ICCV 2023, arXiv 2307.06948",
        "idea": "prompts of both encoders, held near the frozen model and averaged over the epochs",
        "attaches": "both encoders, the first 9 blocks; loss; prompts after training",
        "trains": "4 vectors for each block of each encoder: 46,080 values in ViT-B/16",
        "quirk": "the Gaussian of the average is published for each kind of experiment; here that of base to new",
    },
}
TEMPLATES: list[str] = read_yaml(Path(__file__).with_name("promptsrc_templates.yaml"))["templates"]
WEIGHTS = {"text_weight": 25.0, "image_weight": 10.0, "answer_weight": 1.0}


class PromptSRC(IVLP):
    """The vectors train, and serve any classes."""

    may_be_off = frozenset({"spread"})
    recipe = IVLP.recipe.model_copy(update={"options": {**OPTIONS, **WEIGHTS, "mean": 15.0, "spread": 1.0}})

    def classifier(self, inputs: ClassifierInputs) -> PromptedEncoders:
        found = super().classifier(inputs)
        found.register_buffer("frozen_texts", frozen_texts(inputs), persistent=False)
        found.weights, found.average = {name: self.options(inputs)[name] for name in WEIGHTS}, None
        return found

    def loss_terms(self, classifier: PromptedEncoders, images: Tensor, labels: Tensor) -> LossTerms:
        weights, scale, texts = classifier.weights, classifier.scale, classifier.class_texts()
        seen, count = classifier.encode(images), images_in(labels)
        with torch.no_grad():
            frozen = classifier.encoder.encode_image(images).pooled
            answers = scaled_cosines(frozen, classifier.frozen_texts, scale).log_softmax(-1)
        logits = scaled_cosines(seen, texts, scale)
        distance = (unit(seen) - unit(frozen)).abs().mean(1).sum()
        divergence = F.kl_div(logits.log_softmax(-1), answers, reduction="sum", log_target=True) / logits.shape[1]
        return {
            "cross_entropy": cross_entropy(logits, labels),
            "frozen_text": of_classes(
                weights["text_weight"] * (unit(texts) - classifier.frozen_texts).abs().mean(), labels
            ),
            "frozen_image": LossTerm(weights["image_weight"] * distance, count),
            "frozen_answer": LossTerm(weights["answer_weight"] * divergence, count),
        }

    def fit(self, classifier: PromptedEncoders, inputs: ClassifierInputs, tune: Tune) -> None:
        own = self.options(inputs)
        if own["spread"] is None:
            return tune(classifier)
        recipe, images = inputs.recipe, len(inputs.train)
        each = steps_per_epoch(recipe, images)
        weights = gaussian_weights(ceil(steps_of(recipe, images) / each), mean=own["mean"], spread=own["spread"])
        classifier.average = GaussianAverage(classifier.prompts.parameters(), weights, steps_per_epoch=each)
        tune(classifier)
        classifier.average.finish()
        classifier.average = None
        return None

    def adjust_gradients(self, classifier: PromptedEncoders, separate: dict[str, dict[str, Tensor]]) -> None:
        if classifier.average is not None:
            classifier.average.before_step()


def frozen_texts(inputs: ClassifierInputs) -> Tensor:
    """(K, d), unit: the mean of the templates' features."""
    texts = ([template.format(name) for name in inputs.names] for template in TEMPLATES)
    each = [inputs.text(of_template, truncate=True) for of_template in texts]
    return unit(torch.stack(each).mean(0))
