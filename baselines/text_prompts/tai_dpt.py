"""TaI-DPT: prompts for several classes a picture, learned from captions alone (CVPR 2023, arXiv 2211.12739).

Official code: guozix/TaI-DPT 1333eca, trainers/Caption_distill_double.py, trainers/utils.py, clip/model.py, configs,
scripts/main.sh. While it trains, the words of a caption play the positions of an image. Two contexts of 16 vectors from
N(0, 0.02²), before the same names: global, 4 cos(end row of the caption, text); local, 4 times the sum over rows of
softmax over rows(50 c) c with c the cosine of each row, start and end included, and the other texts. Loss: of both
branches the mean over captions of the sum over pairs of a class that is named and one that is not of
max(0, 1 - s_named + s_other). SGD 1e-4, batch 512, 20 epochs, cosine, one warm-up epoch at 1e-5, ResNet-50.
At test: the pooled feature and the positions by their own values, neither with positional embeddings; softmax over
positions of 40 c (NUS-WIDE: 4); half of each branch.

Captions are those that name a class (cones/data/captions.py); besides, each class has `copies` captions of its name in
the set's template, 9 as published. What differs: the published lists of synonyms and the 80 templates of ImageNet, one
caption each, are not there; padding is known by a text's end, not by token id 0, which is also "!" in CLIP's
vocabulary; nothing is chosen, where the code keeps the best epoch on every tenth *test* image. A vision transformer
has no published form; its pooled feature and its positions keep positional embeddings. Left out: the ensemble.
"""

import torch
from torch import Tensor, nn

from baselines.text_prompts.context import START, ContextTexts, images_in, start_of_context
from baselines.text_prompts.kept_texts import KeptTexts
from cones.methods.classifier import (
    Classifier,
    ClassifierInputs,
    ClassifierMethod,
    LabelledFeatures,
    Recipe,
    Tune,
)
from cones.models.dual_encoder import ImageFeatures, Tokenizer, scaled_cosines, unit
from cones.models.losses import LossTerm, LossTerms

METHOD = {
    "name": "tai_dpt",
    "classifier": "TaIDPT",
    "not_for_detectors": "trains on captions in place of pictures, and captions say no boxes",
    "label": "TaI-DPT",
    "block": "text_prompts",
    "features": ["regions_unplaced"],
    "has_vectors": False,
    "survey": {
        "paper": "CVPR 2023, arXiv 2211.12739",
        "idea": "captions play the images: no picture is trained on",
        "attaches": "text encoder, input",
        "trains": "2 times 16 vectors, shared by all classes",
        "quirk": "for several classes a picture; its published epoch was chosen on test images",
    },
}


class DoubleTexts(Classifier):
    """Contexts (M, w): `context` for what is pooled, `local` for positions. Sharpness is that of images, or words."""

    keeps_texts = True

    def __init__(
        self, texts: ContextTexts, context: Tensor, local: Tensor, *, scale: float, images: float, words: float
    ):
        super().__init__()
        self.kept, self.kept_local = KeptTexts(), KeptTexts()
        self.texts, self.scale, self.of_images, self.of_words = texts, scale, images, words
        self.context, self.local = (
            one if isinstance(one, nn.Parameter) else nn.Parameter(one.clone()) for one in (context, local)
        )

    def forward(self, images: ImageFeatures) -> Tensor:
        """Of the rows of an image the first is its pooled feature."""
        pooled, positions = images.patches[:, 0], images.patches[:, 1:]
        return (self.pooled_logits(pooled) + self.local_logits(positions, self.of_images)) / 2

    def pooled_logits(self, pooled: Tensor) -> Tensor:
        texts = self.kept.at_test(self, [self.context], lambda: self.texts(self.context))
        return scaled_cosines(pooled, texts, self.scale)

    def local_cosines(self, rows: Tensor) -> Tensor:
        """(B, R, d) -> (B, R, K)."""
        texts = self.kept_local.at_test(self, [self.local], lambda: self.texts(self.local))
        return unit(rows) @ unit(texts).T

    def local_logits(self, rows: Tensor, sharpness: float, there: Tensor | None = None) -> Tensor:
        """`there` (B, R) says which rows belong to a text; None: all."""
        cosines = self.local_cosines(rows)
        scores = sharpness * cosines
        if there is not None:
            scores = scores.masked_fill(~there[..., None], -torch.inf)
        return self.scale * (scores.softmax(1) * cosines).sum(1)

    def caption_logits(self, captions: Tensor) -> tuple[Tensor, Tensor]:
        """Captions as `tokens_of` has them -> logits (B, K) of both branches."""
        ends, ids = captions[:, 0], captions[:, 1:]
        with torch.no_grad():
            rows = self.texts.encoder.encode_words(self.texts.encoder.embed_text(ids), ends)
        there = torch.arange(rows.shape[1], device=rows.device) <= ends[:, None]
        pooled = rows[torch.arange(len(rows), device=rows.device), ends]
        return self.pooled_logits(pooled), self.local_logits(rows, self.of_words, there)


class TaIDPT(ClassifierMethod):
    """Both contexts train, on captions; they serve any classes."""

    serves = frozenset({"multi_label"})
    reads = frozenset({"pooled", "regions_unplaced", "text_encoder"})
    labels = "none"
    unseen_classes = True
    needs_captions = True
    recipe = Recipe(
        optimiser="sgd",
        learning_rate=1e-4,
        epochs=20,
        batch_size=512,
        options={**START, "scale": 4.0, "of_images": 40.0, "of_words": 50.0, "copies": 9},
    )

    def classifier(self, inputs: ClassifierInputs) -> DoubleTexts:
        own = self.options(inputs)
        return self._with(inputs, start_of_context(inputs, own), start_of_context(inputs, own))

    def for_classes(self, classifier: DoubleTexts, inputs: ClassifierInputs) -> DoubleTexts:
        return self._with(inputs, classifier.context, classifier.local)

    def _with(self, inputs: ClassifierInputs, context: Tensor, local: Tensor) -> DoubleTexts:
        own = self.options(inputs)
        texts = ContextTexts(inputs.encoder, inputs.tokenizer, inputs.names, vectors=context.shape[-2])
        return DoubleTexts(texts, context, local, scale=own["scale"], images=own["of_images"], words=own["of_words"])

    def fit(self, classifier: DoubleTexts, inputs: ClassifierInputs, tune: Tune) -> None:
        """On the captions, and on each class in the set's template."""
        copies, device = self.options(inputs)["copies"], classifier.context.device
        own = [inputs.template.format(name) for name in inputs.names for _ in range(copies)]
        labels = torch.eye(len(inputs.names), dtype=torch.int64).repeat_interleave(copies, 0)
        tokens = tokens_of(inputs.tokenizer, [*inputs.captions.texts, *own])
        labels = torch.cat([inputs.captions.labels.cpu(), labels])
        tune(classifier, LabelledFeatures(tokens.to(device), labels.to(device)))

    def loss_terms(self, classifier: DoubleTexts, images: Tensor, labels: Tensor) -> LossTerms:
        """`images` are captions as `tokens_of` has them, labels (B, K) 1 or 0."""
        pooled, local = classifier.caption_logits(images)
        return {
            "pooled": LossTerm(ranking_loss(pooled, labels), images_in(labels)),
            "local": LossTerm(ranking_loss(local, labels), images_in(labels)),
        }


def tokens_of(tokenizer: Tokenizer, texts: list[str]) -> Tensor:
    """(n, 1 + L) int64: the row of a text's end, then its token ids; what is too long is cut, as in the code."""
    ids, ends = tokenizer(texts, truncate=True)
    return torch.cat([ends[:, None], ids], dim=1)


def ranking_loss(logits: Tensor, labels: Tensor, margin: float = 1.0) -> Tensor:
    """Logits and labels (B, K) of 1 and 0: the sum over all pairs of a class that is there and one that is not."""
    short = (margin - logits[:, :, None] + logits[:, None, :]).clamp(min=0)  # (B, there, not there)
    return (short * (labels == 1)[:, :, None] * (labels == 0)[:, None, :]).sum()
