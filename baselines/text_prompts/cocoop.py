"""CoCoOp: context vectors that a small network moves for each image (CVPR 2022, arXiv 2203.05557).

Official code: KaiyangZhou/CoOp ff61507, trainers/cocoop.py, configs/trainers/CoCoOp. h = Linear(d, d/16), ReLU,
Linear(d/16, w) of the unit image feature; every one of the M = 4 vectors ("a photo of a") becomes v + h(x), for all
classes alike, so that each image has K texts of its own, at test too. Cross-entropy; context and h train by SGD 0.002,
batch 1, 10 epochs. Parameter names are the code's. With h's last layer at zero the classifier is zero-shot.

On a detector (`CaptionOfImage`) x is the mean of an image's maps, the network moves the N vectors of the suite that all
classes share, and every image has a caption of its own that runs through the text encoder, at test too.
"""

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn

from baselines.text_prompts.context import START, WORDS, ContextClassifier, ContextTexts, image_by_image
from baselines.text_prompts.coop import CoOp, SharedContext
from cones.methods.classifier import ClassifierInputs, Recipe
from cones.methods.drawn_layers import linear
from cones.methods.method import PromptInputs
from cones.methods.prompts import Prompt, PromptContext, SoftCaption
from cones.models.detector import FeaturePyramid, GroundedDetector
from cones.models.dual_encoder import ImageFeatures, unit
from cones.models.language import LanguageFeatures

METHOD = {
    "name": "cocoop",
    "class": "ConditionalContext",
    "classifier": "CoCoOp",
    "label": "CoCoOp",
    "block": "text_prompts",
    "inputs": ["text_encoder"],
    "start_std": "word",
    "has_vectors": False,
    "survey": {
        "paper": "CVPR 2022, arXiv 2203.05557",
        "idea": "a small network moves the context for each image",
        "attaches": "text encoder, input",
        "trains": "4 vectors and a network of two layers",
        "quirk": "every image has texts of its own: the text encoder runs for each, at test too",
    },
}
TEXTS_AT_ONCE = 1024  # through the text encoder; images are taken in parts, one at least
REDUCTION = 16


def meta_network(width_in: int, width_out: int, reduction: int, generator: torch.Generator) -> nn.Sequential:
    """width_in -> width_in / reduction, one at least -> width_out, by the names of the official code."""
    inner = max(1, width_in // reduction)
    layers = OrderedDict(
        linear1=linear(width_in, inner, generator=generator),
        relu=nn.ReLU(),
        linear2=linear(inner, width_out, generator=generator),
    )
    return nn.Sequential(layers)


class MovedContext(ContextClassifier):
    """Context (M, w), and the network that moves it."""

    keeps_texts = False

    def __init__(self, texts: ContextTexts, context: Tensor, scale: float, meta_net: nn.Module):
        super().__init__(texts, context, scale)
        self.meta_net = meta_net

    def texts_of_images(self, pooled: Tensor) -> Tensor:
        """(B, d) -> (B, K, d), not normalised."""
        moved = self.context + self.meta_net(unit(pooled))[:, None]  # (B, M, w)
        return self.texts(moved[:, None])

    def forward(self, images: ImageFeatures) -> Tensor:
        parts = images.pooled.split(max(1, TEXTS_AT_ONCE // len(self.texts)))
        return torch.cat([image_by_image(part, self.texts_of_images(part), self.scale) for part in parts])


class CoCoOp(CoOp):
    """Context and network train, and serve any classes."""

    recipe = Recipe(
        optimiser="sgd",
        learning_rate=2e-3,
        epochs=10,
        batch_size=1,
        options={**START, "words": WORDS, "reduction": REDUCTION},
    )

    def with_context(self, inputs: ClassifierInputs, context: Tensor) -> MovedContext:
        encoder, reduction = inputs.encoder, self.options(inputs)["reduction"]
        network = meta_network(encoder.width, encoder.text_width, reduction, inputs.generator).to(context.device)
        return MovedContext(self.texts(inputs, context.shape[-2]), context, inputs.logit_scale, network)

    def for_classes(self, classifier: MovedContext, inputs: ClassifierInputs) -> MovedContext:
        texts = self.texts(inputs, classifier.texts.vectors)
        return MovedContext(texts, classifier.context, inputs.logit_scale, classifier.meta_net)


class CaptionOfImage(Prompt):
    """The caption of CoOp (`caption`) whose vectors are moved for each image by `meta_net` of `pooled(pyramid)`."""

    is_static = False

    def __init__(self, caption: SoftCaption, meta_net: nn.Module, pooled: Callable[[FeaturePyramid], Tensor]):
        super().__init__()
        self.caption, self.meta_net, self.pooled = caption, meta_net, pooled

    def forward(self, context: PromptContext) -> LanguageFeatures:
        moved = self.meta_net(unit(self.pooled(context.pyramid)))  # (B, D)
        return self.caption.with_vectors(self.caption.vectors + moved[:, None, None])


class ConditionalContext(SharedContext):
    """On a detector: context and network train; the text encoder reads a caption for each image."""

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> CaptionOfImage:
        caption = super().prompt(model, prompt_inputs)
        network = meta_network(model.map_width, caption.vectors.shape[-1], REDUCTION, prompt_inputs.generator)
        return CaptionOfImage(caption, network, model.pooled)

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return name == "prompt.caption.vectors" or name.startswith("prompt.meta_net.")
