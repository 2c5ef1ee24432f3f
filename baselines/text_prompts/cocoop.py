"""CoCoOp: context vectors that a small network moves for each image (CVPR 2022, arXiv 2203.05557).

Official code: KaiyangZhou/CoOp ff61507, trainers/cocoop.py, configs/trainers/CoCoOp. h = Linear(d, d/16), ReLU,
Linear(d/16, w) of the unit image feature; every one of the M = 4 vectors ("a photo of a") becomes v + h(x), for all
classes alike, so that each image has K texts of its own, at test too. Cross-entropy; context and h train by SGD 0.002,
batch 1, 10 epochs. Parameter names are the code's. With h's last layer at zero the classifier is zero-shot.
"""

from collections import OrderedDict

import torch
from torch import Tensor, nn

from baselines.text_prompts.context import START, WORDS, ContextClassifier, ContextTexts, image_by_image
from baselines.text_prompts.coop import CoOp
from cones.methods.classifier import ClassifierInputs, Recipe
from cones.methods.drawn_layers import linear
from cones.models.dual_encoder import ImageFeatures, unit

METHOD = {
    "name": "cocoop",
    "classifier": "CoCoOp",
    "label": "CoCoOp",
    "block": "text_prompts",
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


class MovedContext(ContextClassifier):
    """Context (M, w), and the network that moves it."""

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
        options={**START, "words": WORDS, "reduction": 16},
    )

    def with_context(self, inputs: ClassifierInputs, context: Tensor) -> MovedContext:
        width, inner = inputs.encoder.width, inputs.encoder.width // self.options(inputs)["reduction"]
        layers = OrderedDict(
            linear1=linear(width, inner, generator=inputs.generator),
            relu=nn.ReLU(),
            linear2=linear(inner, inputs.encoder.text_width, generator=inputs.generator),
        )
        return MovedContext(
            self.texts(inputs, context.shape[-2]), context, inputs.logit_scale, nn.Sequential(layers).to(context.device)
        )

    def for_classes(self, classifier: MovedContext, inputs: ClassifierInputs) -> MovedContext:
        texts = self.texts(inputs, classifier.texts.vectors)
        return MovedContext(texts, classifier.context, inputs.logit_scale, classifier.meta_net)
