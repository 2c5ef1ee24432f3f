"""LASP: a context held near many hand-written texts by a loss between texts (CVPR 2023, arXiv 2210.01115).

Official code: 1adrianb/lasp 5b1e8d9, prompting/lasp.py, prompting/losses.py, configs/LASP. Trained: M = 4 vectors from
"a photo of a", a correction w (d, zeros) added to every learned text before it is made unit, and weight and bias of
both norms of every image block. Loss: cross-entropy of images + 5 times that of texts: each of 35 templates with each
name, through the frozen encoder and made unit, is a sample, the learned texts are its classifier. With probability
1/2, in one toss for a step, noise of 0.05 N(0, 1) is added to all samples, which are not made unit again. SGD 0.032,
norms at a tenth of it (decay included), batch 32, 25 epochs (50 with weight 10, 300 on EuroSAT), cosine, 3 warm-up
epochs at 1e-5, gradients clipped to norm 1 as in the code's default precision. `extra_names` are the paper's virtual
classes: names without images, in both losses, never in an answer; none by default.

What differs: w has the width of the joint space, where the code takes that of the text encoder (512 both in ViT-B). A
ResNet has no such norms: context and w train alone. The paper's groups of prompts are not in the code, nor here. Hand
texts that are too long for the encoder are cut.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from baselines.text_prompts.context import START, WORDS, ContextTexts, cross_entropy, of_classes, start_of_context
from baselines.text_prompts.hand_texts import BesideHandTexts, between_texts, with_noise
from baselines.text_prompts.kept_texts import KeptTexts
from cones.methods.classifier import Classifier, ClassifierInputs, ClassifierMethod, Recipe
from cones.models.dual_encoder import scaled_cosines, unit
from cones.models.losses import LossTerms
from cones.runtime.strict import read_yaml

METHOD = {
    "name": "lasp",
    "class": "HeldContext",
    "classifier": "LASP",
    "label": "LASP",
    "block": "text_prompts",
    "inputs": ["text_encoder"],
    "start_std": "word",
    "has_vectors": False,
    "classifier_trains_image_encoder": True,
    "survey": {
        "paper": "CVPR 2023, arXiv 2210.01115",
        "idea": "a context that must also classify 35 hand-written texts of each class",
        "attaches": "text encoder, input; norms of the image encoder",
        "trains": "4 vectors, a correction of the texts, norms of the image blocks",
        "quirk": "the paper's groups of prompts are not in the code",
    },
}
TEMPLATES: list[str] = read_yaml(Path(__file__).with_name("lasp_templates.yaml"))["templates"]
NORMS = (".ln_1.", ".ln_2.")  # of an image block


class CorrectedTexts(Classifier):
    """Pixels against learned texts. The first `classes` names of `texts` are answers; `hand` (T, names, d), unit."""

    keeps_texts = True

    def __init__(
        self, texts: ContextTexts, context: Tensor, correction: Tensor, scale: float, *, hand: Tensor, classes: int
    ):
        super().__init__()
        self.kept = KeptTexts()
        self.texts, self.scale, self.classes = texts, scale, classes
        self.context, self.correction = (
            one if isinstance(one, nn.Parameter) else nn.Parameter(one.clone()) for one in (context, correction)
        )
        self.register_buffer("hand", hand, persistent=False)
        for name, parameter in self.encoder.named_parameters():
            parameter.requires_grad_(is_image_norm(name, self.encoder.image_prefix))

    @property
    def encoder(self):
        return self.texts.encoder

    def class_texts(self) -> Tensor:
        """(names, d), not normalised; at test made once for as long as they do not change."""
        return self.kept.at_test(self, [self.context, self.correction], self._made_texts)

    def _made_texts(self) -> Tensor:
        return self.texts(self.context) + self.correction

    def compare(self, images: Tensor, texts: Tensor) -> Tensor:
        return scaled_cosines(self.encoder.encode_image(images).pooled, texts, self.scale)

    def forward(self, images: Tensor) -> Tensor:
        return self.compare(images, self.class_texts())[:, : self.classes]

    def between_texts(self, texts: Tensor, hand: Tensor) -> Tensor:
        return between_texts(texts, hand, self.scale)


class LASP(ClassifierMethod):
    """Starts at zero-shot of "a photo of a {}."."""

    reads = frozenset({"image_encoder", "text_encoder"})
    unseen_classes = True
    recipe = Recipe(
        optimiser="sgd",
        learning_rate=0.032,
        epochs=25,
        warmup_epochs=3,
        clip_norm=1.0,
        options={**START, "words": WORDS, "weight": 5.0, "noise": 0.05, "noise_share": 0.5, "extra_names": ()},
    )

    def classifier(self, inputs: ClassifierInputs) -> CorrectedTexts:
        context = start_of_context(inputs, self.options(inputs))
        return self.made(inputs, context, context.new_zeros(1, inputs.encoder.width))

    def for_classes(self, classifier: CorrectedTexts, inputs: ClassifierInputs) -> CorrectedTexts:
        return self.made(inputs, classifier.context, classifier.correction)

    def made(self, inputs: ClassifierInputs, context: Tensor, correction: Tensor) -> CorrectedTexts:
        own = self.options(inputs)
        names = [*inputs.names, *own["extra_names"]]
        texts = ([template.format(name) for name in names] for template in TEMPLATES)
        hand = torch.stack([unit(inputs.text(of_template, truncate=True)) for of_template in texts])
        texts = ContextTexts(inputs.encoder, inputs.tokenizer, names, vectors=len(context))
        found = CorrectedTexts(texts, context, correction, inputs.logit_scale, hand=hand, classes=len(inputs.names))
        found.weight, found.noise, found.noise_share = own["weight"], own["noise"], own["noise_share"]
        return found

    def loss_terms(self, classifier: CorrectedTexts, images: Tensor, labels: Tensor) -> LossTerms:
        texts = classifier.class_texts()
        hand = with_noise(classifier.hand, classifier.noise, classifier.noise_share)
        return {
            "cross_entropy": cross_entropy(classifier.compare(images, texts), labels),
            "between_texts": of_classes(classifier.weight * classifier.between_texts(texts, hand), labels),
        }

    def rate_factor(self, name: str) -> float:
        return 0.1 if any(norm in name for norm in NORMS) else 1.0


def is_image_norm(name: str, image_prefix: str) -> bool:
    return name.startswith(image_prefix) and any(norm in name for norm in NORMS)


class HeldContext(BesideHandTexts):
    """On a detector: context and correction train beside the same hand texts."""

    templates = TEMPLATES
