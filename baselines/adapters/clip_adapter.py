"""CLIP-Adapter: a small network behind the image encoder, mixed with what went in (IJCV 2023, arXiv 2110.04544).

Official code: gaopengcuhk/CLIP-Adapter 08d07f8, clip_adapter.py. a = ReLU(W2 ReLU(W1 f)) on the un-normalised image
feature f, without biases, a quarter of the width inside; 0.2 a + 0.8 f is made unit and compared with the hand
template's texts. As in the code *both* layers end in a ReLU and the ratio is fixed. The repository has no settings: its
readers are told to take CoOp's (SGD 0.002, momentum 0.9, decay 5e-4, batch 32, cosine, one warm-up epoch at 1e-5, 50
epochs with ResNet-50). Paper: rate 1e-5 and a ratio searched for each set. Left out: the paper's text adapter, which
the code does not have.

On a detector (`TextAdapter`) the same network, its ratio fixed as in the code, stands behind the text encoder and
changes every row of the caption of class names before the fusion.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from cones.methods.classifier import Classifier, ClassifierInputs, ClassifierMethod, Recipe
from cones.methods.drawn_layers import linear
from cones.methods.method import PromptInputs, TuningMethod
from cones.methods.prompts import FixedPrompt, PromptContext
from cones.models.detector import GroundedDetector
from cones.models.dual_encoder import ImageFeatures, scaled_cosines
from cones.models.language import LanguageFeatures

METHOD = {
    "name": "clip_adapter",
    "class": "TextAdapter",
    "classifier": "CLIPAdapter",
    "label": "CLIP-Adapter",
    "block": "adapters",
    "inputs": ["text_states"],
    "has_vectors": False,
    "survey": {
        "paper": "IJCV 2023, arXiv 2110.04544",
        "idea": "a small network behind the image encoder, mixed with what went in",
        "attaches": "image vector",
        "trains": "two layers, d²/2 values",
        "quirk": "both layers end in a ReLU in the code; the paper searched the ratio for each set",
    },
}
RATIO, REDUCTION = 0.2, 4


def bottleneck(width: int, reduction: int, generator: torch.Generator) -> nn.Sequential:
    """width -> width / reduction -> width, each layer without bias and ending in a ReLU."""
    inner = width // reduction
    return nn.Sequential(
        linear(width, inner, bias=False, generator=generator),
        nn.ReLU(),
        linear(inner, width, bias=False, generator=generator),
        nn.ReLU(),
    )


class AdaptedImages(Classifier):
    """Image features through an adapter, against texts (K, d)."""

    def __init__(self, text: Tensor, scale: float, *, adapter: nn.Module, ratio: float):
        super().__init__()
        self.adapter, self.ratio, self.scale = adapter, ratio, scale
        self.register_buffer("text", text)

    def forward(self, images: ImageFeatures) -> Tensor:
        mixed = self.ratio * self.adapter(images.pooled) + (1 - self.ratio) * images.pooled
        return scaled_cosines(mixed, self.text, self.scale)


class CLIPAdapter(ClassifierMethod):
    """Only the adapter trains, and it serves any classes; with ratio 0 the classifier is zero-shot."""

    unseen_classes = True
    recipe = Recipe(optimiser="sgd", learning_rate=2e-3, epochs=50, options={"ratio": RATIO, "reduction": REDUCTION})

    def classifier(self, inputs: ClassifierInputs) -> AdaptedImages:
        own, text = self.options(inputs), inputs.class_texts()
        adapter = bottleneck(text.shape[1], own["reduction"], inputs.generator)
        return AdaptedImages(text, inputs.logit_scale, adapter=adapter, ratio=own["ratio"])

    def for_classes(self, classifier: AdaptedImages, inputs: ClassifierInputs) -> AdaptedImages:
        return AdaptedImages(
            inputs.class_texts(), inputs.logit_scale, adapter=classifier.adapter, ratio=classifier.ratio
        )


class AdaptedNames(FixedPrompt):
    """The states of the class names through the adapter: ratio a(h) + (1 - ratio) h for every row h."""

    def __init__(self, text_states: LanguageFeatures, adapter: nn.Module):
        super().__init__(text_states)
        self.adapter = adapter

    def forward(self, context: PromptContext) -> LanguageFeatures:
        text = super().forward(context)
        return replace(text, hidden=RATIO * self.adapter(text.hidden) + (1 - RATIO) * text.hidden)


class TextAdapter(TuningMethod):
    """On a detector: only the adapter trains; the text encoder runs once for a dataset."""

    unseen_classes = True

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> AdaptedNames:
        adapter = bottleneck(model.text_width, REDUCTION, prompt_inputs.generator)
        return AdaptedNames(prompt_inputs.text_states, adapter)

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return name.startswith("prompt.adapter.")
