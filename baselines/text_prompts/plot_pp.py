"""PLOT++: PLOT for vision transformers, with prompts in the image encoder too (of the code of arXiv 2210.01253).

Official code: CHENGY12/PLOT 728539f, plot-pp/trainers/plotpp.py, plot-pp/clip/model.py, scripts/main_visiononly.sh,
scripts/main_joint.sh, configs/trainers/PLOTPP/vit.yaml. Four contexts start as four hand-written phrases. Four vision
prompts of two vectors each, N(0, 0.02²): for each of them the whole picture is encoded once, the two vectors standing
behind all patches, without positions, before the first norm. The four class tokens are the points that the four texts
are transported to, as in PLOT. Stage 1 trains the vision prompts alone, its logits having s times the cosine of the
means of raw image and text features on top; stage 2 trains both, without that term. Each: SGD 0.002, batch 32, 50
epochs.

What differs: the code has phrases for each data set, whose lengths may differ, so that words of a name are replaced or
words of a phrase stay frozen; here one list (Caltech's) of phrases of one length serves every set, and others are
refused. Random starts of the texts do not run in the code. A ResNet reads no tokens: one line says so.
"""

import torch
from torch import Tensor, nn

from baselines.text_prompts.context import ContextTexts, context_of_words
from baselines.text_prompts.plot import PLOT, TransportedTexts
from cones.methods.classifier import ClassifierInputs, Recipe, Tune
from cones.models.dual_encoder import BlockTokens, ImageFeatures
from cones.runtime.errors import ConesError

METHOD = {
    "name": "plot_pp",
    "classifier": "PLOTpp",
    "not_for_detectors": "transports phrases to prompted views of the picture, made by tokens of a ViT that"
    " detectors do not have",
    "label": "PLOT++",
    "block": "text_prompts",
    "has_vectors": False,
    "trains_image_encoder": True,
    "survey": {
        "paper": "code of arXiv 2210.01253",
        "idea": "PLOT between four prompted texts and four prompted views of the picture",
        "attaches": "text encoder, input; image encoder, input",
        "trains": "4 times 4 vectors of texts, 4 times 2 of the image encoder",
        "quirk": "two trainings; the picture goes four times through the encoder",
    },
}
PHRASES = ("a photo of a", "this is a photo", "this is picture of", "one picture of a")


class TransportedViews(TransportedTexts):
    """Pixels; contexts (N, M, w) and vision prompts (V, n, D). `pooled` is true in stage 1."""

    def __init__(self, texts: ContextTexts, context: Tensor, scale: float, *, vision: Tensor, pooled: bool):
        super().__init__(texts, context, scale, pooled=pooled)
        self.vision = vision if isinstance(vision, nn.Parameter) else nn.Parameter(vision.clone())

    def views(self, pixels: Tensor) -> ImageFeatures:
        """Of each vision prompt the class token's feature, (B, V, d) as `patches`, and their mean, not normalised."""
        seen = [
            self.texts.encoder.encode_image(pixels, tokens=BlockTokens({0: prompt}, before_first_norm=True)).pooled
            for prompt in self.vision
        ]
        each = torch.stack(seen, dim=1)
        return ImageFeatures(each.mean(1), each)

    def forward(self, images: Tensor) -> Tensor:
        return self.compare(self.views(images), self.class_texts())


class PLOTpp(PLOT):
    """Both kinds of prompts train, and serve any classes."""

    reads = frozenset({"image_encoder", "text_encoder"})
    recipe = Recipe(
        optimiser="sgd",
        learning_rate=2e-3,
        epochs=50,
        options={"phrases": list(PHRASES), "prompts": 4, "vision_vectors": 2, "start_std": 0.02},
    )

    def classifier(self, inputs: ClassifierInputs) -> TransportedViews:
        own, encoder = self.options(inputs), inputs.encoder
        if encoder.image_width is None:
            raise ConesError(
                "PLOT++ puts vectors into the image encoder's sequence, and this one reads none",
                where=inputs.dataset,
                next_step="take a model with a vision transformer, or the method out of the arms",
            )
        phrases = [context_of_words(encoder, inputs.tokenizer, words) for words in own["phrases"]]
        if len({len(one) for one in phrases}) != 1:
            raise ConesError(
                "the phrases have different numbers of tokens",
                where="recipe.options.phrases",
                found=", ".join(f"{words}: {len(one)}" for words, one in zip(own["phrases"], phrases)),
                next_step="take phrases of one length",
            )
        shape = (own["prompts"], own["vision_vectors"], encoder.image_width)
        vision = own["start_std"] * torch.randn(*shape, generator=inputs.generator)
        return self._with(inputs, torch.stack(phrases), vision.to(encoder.logit_scale), pooled=False)

    def _with(self, inputs: ClassifierInputs, context: Tensor, vision: Tensor, *, pooled: bool) -> TransportedViews:
        texts = self.texts(inputs, context.shape[-2])
        return TransportedViews(texts, context, inputs.logit_scale, vision=vision, pooled=pooled)

    def fit(self, classifier: TransportedViews, inputs: ClassifierInputs, tune: Tune) -> None:
        for is_first in (True, False):
            classifier.pooled = is_first
            classifier.context.requires_grad_(not is_first)
            tune(classifier)

    def for_classes(self, classifier: TransportedViews, inputs: ClassifierInputs) -> TransportedViews:
        return self._with(inputs, classifier.context, classifier.vision, pooled=classifier.pooled)
