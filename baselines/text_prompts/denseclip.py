"""DenseCLIP: class texts that look at a picture, and maps of their scores (CVPR 2022, arXiv 2112.01518).

Official code: raoyongming/DenseCLIP 5eda47f, segmentation/denseclip/denseclip.py, models.py, configs/denseclip_fpn_*.
Eight vectors before each bare name (no template, no full stop) make the texts t. A decoder lets them ask the pooled and
all other positions of a picture, read by CLIP's last attention: t' = t + gamma * decoder, gamma (d,) from 1e-4. The
score map is the cosine of positions and t'. Loss: cross-entropy of the answers + 0.4 that of score map / 0.07, each a
mean over all pixels, those without a class at 0. The vectors start with deviation 1, the code's default (not 0.02).

Left out: training the image encoder (published: at a tenth of the rate), which stays frozen; its intermediate levels,
the neck and the FPN head. Instead the answers are two convolutions (`head_width` channels between them) over positions
and score map; with `head_width` 0 they are score map / 0.07. The ViT's class embedding is not added twice. Names may be
longer than the code's three tokens. Published: 80,000 steps of 32 pictures on ADE20K, 127 passes, the first 1,500
rising from nearly zero: here 127 epochs, two of them at 1e-6. Augmentation is left out: positions are stored.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.text_prompts.context import ContextTexts
from baselines.text_prompts.context_decoder import ContextDecoder
from baselines.text_prompts.kept_texts import KeptTexts
from cones.data.class_maps import IGNORED
from cones.methods.classifier import Classifier, ClassifierInputs, ClassifierMethod, Recipe
from cones.models.dual_encoder import unit
from cones.models.losses import LossTerm, LossTerms
from cones.models.positions import Positions

METHOD = {
    "name": "denseclip",
    "classifier": "DenseCLIP",
    "not_for_detectors": "a class for every pixel; its class texts ask the positions, as those of a detector with"
    " fusion do already, and a form for one without fusion is not built",
    "label": "DenseCLIP",
    "block": "text_prompts",
    "has_vectors": False,
    "survey": {
        "paper": "CVPR 2022, arXiv 2112.01518",
        "idea": "class texts ask the positions of a picture; the map of their scores joins the features",
        "attaches": "text encoder, input; class vectors, per picture",
        "trains": "8 vectors, a decoder of three layers, a head",
        "quirk": "for a class for every pixel; published with a tuned image encoder and FPN head, both left out here",
    },
}

TEMPERATURE, GAMMA, GROUP = 0.07, 1e-4, 8  # GROUP: channels of one group of the head's norm


class GuidedMap(Classifier):
    """Positions -> logits (B, K, H, W); the encoders are frozen."""

    keeps_texts = True

    def __init__(
        self,
        texts: ContextTexts,
        contexts: Tensor,
        decoder: ContextDecoder,
        head: nn.Module | None,
        auxiliary: float,
    ):
        super().__init__()
        self.kept = KeptTexts()
        self.texts, self.context_decoder, self.head, self.auxiliary = texts, decoder, head, auxiliary
        self.contexts = nn.Parameter(contexts)  # (1, M, w)
        self.gamma = nn.Parameter(torch.full((texts.encoder.width,), GAMMA, device=contexts.device))

    def score_map(self, images: Positions) -> Tensor:
        """Cosines (B, K, H, W) of positions and the texts that have looked at them."""
        return images.as_map(unit(images.features) @ unit(self.guided(images)).transpose(1, 2))

    def guided(self, images: Positions) -> Tensor:
        """(B, K, d), not normalised."""
        texts = self.kept.at_test(self, [self.contexts], lambda: self.texts(self.contexts))  # (K, d)
        picture = torch.cat([images.pooled[:, None], images.features], dim=1)  # (B, 1 + H W, d)
        return texts + self.gamma * self.context_decoder(texts.expand(len(images), -1, -1), picture)

    def answers(self, images: Positions, scores: Tensor) -> Tensor:
        """A score map -> logits (B, K, H, W)."""
        if self.head is None:
            return scores / TEMPERATURE
        return self.head(torch.cat([images.as_map(images.features), scores], dim=1))

    def forward(self, images: Positions) -> Tensor:
        return self.answers(images, self.score_map(images))


def pixel_cross_entropy(logits: Tensor, labels: Tensor) -> LossTerm:
    """Of logits (B, K, H, W), resized to class maps (B, h, w): the mean over all pixels, those without a class too."""
    logits = F.interpolate(logits, size=labels.shape[-2:], mode="bilinear", align_corners=False)
    total = F.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")
    return LossTerm(total, torch.full((), float(labels.numel()), device=labels.device))


def new_head(inputs: int, width: int, classes: int, generator: torch.Generator) -> nn.Sequential:
    """Two convolutions with a norm between; their start is the one of mmseg's heads."""
    first, last = nn.Conv2d(inputs, width, 3, padding=1, bias=False), nn.Conv2d(width, classes, 1)
    nn.init.kaiming_normal_(first.weight, mode="fan_out", nonlinearity="relu", generator=generator)
    nn.init.normal_(last.weight, std=0.01, generator=generator)
    nn.init.zeros_(last.bias)
    return nn.Sequential(first, nn.GroupNorm(width // GROUP, width), nn.ReLU(), last)


class DenseCLIP(ClassifierMethod):
    """Vectors, decoder, gamma and head train."""

    serves = frozenset({"dense"})
    reads = frozenset({"positions", "text_encoder"})
    grid_resize = "bilinear"
    label_note = "image encoder frozen, two convolutions in place of neck and FPN head"
    recipe = Recipe(
        optimiser="adamw",
        learning_rate=1e-4,
        weight_decay=1e-4,
        epochs=127,
        batch_size=32,
        schedule="poly_per_step",
        warmup_epochs=2,
        warmup_rate=1e-6,
        options={
            **{"vectors": 8, "start_std": 1.0, "width": 256, "heads": 4, "layers": 3, "dropout": 0.1},
            **{"auxiliary": 0.4, "head_width": 256},
        },
    )

    def classifier(self, inputs: ClassifierInputs) -> GuidedMap:
        own, encoder = self.options(inputs), inputs.encoder
        texts = ContextTexts(encoder, inputs.tokenizer, inputs.names, vectors=own["vectors"], stop="")
        contexts = torch.empty(1, own["vectors"], encoder.text_width)
        nn.init.trunc_normal_(contexts, std=own["start_std"], generator=inputs.generator)
        decoder = ContextDecoder(encoder.width, **{key: own[key] for key in ("width", "heads", "layers", "dropout")})
        decoder.start(inputs.generator)
        classes, head = len(inputs.names), None
        if own["head_width"]:
            head = new_head(encoder.width + classes, own["head_width"], classes, inputs.generator)
        return GuidedMap(texts, contexts, decoder, head, own["auxiliary"]).to(encoder.logit_scale.device)

    def decays(self, name: str) -> bool:
        return "norm" not in name

    def loss_terms(self, classifier: GuidedMap, images: Positions, labels: Tensor) -> LossTerms:
        scores, terms = classifier.score_map(images), {}
        if classifier.head is not None:
            terms["cross_entropy"] = pixel_cross_entropy(classifier.answers(images, scores), labels)
        of_scores = pixel_cross_entropy(scores / TEMPERATURE, labels)
        terms["score_map"] = LossTerm(classifier.auxiliary * of_scores.sum, of_scores.normaliser)
        return terms
