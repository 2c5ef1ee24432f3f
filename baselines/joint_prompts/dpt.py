"""DPT: text and image prompts, and image tokens made of the likely classes (IEEE TMM 2023, arXiv 2208.08340).

Official code: fanrena/DPT 11fef90, trainers/DPT.py, train_single.sh, configs/trainers/VPT/vit_b32_deep.yaml. Texts are
CoOp's, 16 vectors before the name. In the image encoder free tokens (10) enter the blocks before block B and leave it;
from block B on (counted from 1; the last alone) k tokens are made for each picture (CAVPT): the k = 10 classes most
likely by zero-shot give their learned texts, not normalised, through Linear(d -> D) as queries q; keys and values are
the picture's rows, detached, and 10 learned rows; one head, q and k through D -> 32, values through D -> D, no biases,
softmax of products / sqrt 32; o is the result, and LN(o + q) are the tokens. A second norm and Linear(D -> K) read
classes from o.

Loss, with z (both sides learned), z1 (frozen image, learned text), z2 (learned image, hand text): in the first 30
epochs CE(z1) + CE(z2) + 0.1 CE(z), later CE(z), and always alpha = 0.3 times the mean cross-entropy of those readings
whose query is the right class; pictures without one drop out. Test: z. SGD 0.01 (texts 0.002), batch 32, 60 epochs.

What differs: the texts' published warm-up is 1 epoch, here 10 as the others'; hand texts are the set's template. With
several class-aware blocks their readings are averaged together (own reading; the published setting has one). The epoch
is counted in steps: a training that `max_steps` ends before epoch 30 never comes to the second phase.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.joint_prompts.class_aware import ClassAwareTokens
from baselines.text_prompts.context import START, ContextTexts, cross_entropy, start_of_context
from baselines.text_prompts.kept_texts import KeptTexts
from cones.methods.classifier import Classifier, ClassifierInputs, ClassifierMethod, Recipe
from cones.methods.recipes import steps_per_epoch
from cones.models.dual_encoder import BlockTokens, scaled_cosines, unit
from cones.models.losses import LossTerm, LossTerms
from cones.models.missing_places import reason_against_image_tokens

METHOD = {
    "name": "dpt",
    "classifier": "DPT",
    "not_for_detectors": "its class-aware prompts are drawn by the class token of the image, and a detector's image"
    " encoder has none",
    "label": "DPT",
    "block": "joint_prompts",
    "has_vectors": False,
    "trains_image_encoder": True,
    "survey": {
        "paper": "IEEE TMM 2023, arXiv 2208.08340",
        "idea": "the likely classes of a picture ask its rows and become tokens of the last image block",
        "attaches": "text encoder, input; image encoder, every block",
        "trains": "16 text vectors, 10 tokens a block, and the layers that make class-aware tokens",
        "quirk": "queries are not normalised; pictures whose class is not among the likely ones leave the extra loss",
    },
}


class DualPrompts(Classifier):
    """context (M, w); tokens (B - 1, n, D); `aware`: one for each block from B on; hand (K, d), unit.

    scale   of cosines
    likely  k: how many classes make tokens
    `step` counts the optimiser's steps.
    """

    keeps_texts = True

    def __init__(
        self,
        texts: ContextTexts,
        context: Tensor,
        tokens: Tensor,
        aware: nn.ModuleList,
        hand: Tensor,
        *,
        scale: float,
        likely: int,
    ):
        super().__init__()
        self.kept = KeptTexts()
        self.texts, self.aware, self.scale, self.likely = texts, aware, scale, likely
        self.context, self.tokens = nn.Parameter(context), nn.Parameter(tokens)
        self.register_buffer("hand", hand)
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def readings(self, images: Tensor) -> dict[str, Tensor]:
        """z, z1, z2 (B, K), the likely classes `top` (B, k) and what `aware` reads of them (blocks, B, k, K)."""
        texts = self.kept.at_test(self, [self.context], lambda: self.texts(self.context))
        with torch.no_grad():
            frozen = self.texts.encoder.encode_image(images).pooled
            top = scaled_cosines(frozen, self.hand, self.scale).topk(self.likely).indices  # (B, k)
        read: list[Tensor] = []

        def made_by(module: ClassAwareTokens):
            def tokens(rows: Tensor) -> Tensor:
                made, logits = module(rows, texts[top])
                read.append(logits)
                return made

            return tokens

        first = len(self.tokens)
        by_block = {**dict(enumerate(self.tokens)), **{first + i: made_by(one) for i, one in enumerate(self.aware)}}
        pooled = self.texts.encoder.encode_image(images, tokens=BlockTokens(by_block)).pooled
        return {
            "z": scaled_cosines(pooled, texts, self.scale),
            "z1": scaled_cosines(frozen, texts, self.scale),
            "z2": scaled_cosines(pooled, self.hand, self.scale),
            "top": top,
            "read": torch.stack(read),
        }

    def forward(self, images: Tensor) -> Tensor:
        return self.readings(images)["z"]


class DPT(ClassifierMethod):
    """`aware_from`: B; None: the last block. Its readings have the classes of training, so that it serves no others."""

    reads = frozenset({"image_encoder", "text_encoder"})
    recipe = Recipe(
        optimiser="sgd",
        learning_rate=0.01,
        epochs=60,
        warmup_epochs=10,
        options={**START, "tokens": 10, "likely": 10, "aware_from": None, "alpha": 0.3, "first_epochs": 30},
    )

    def supports(self, model_name: str, setting: str) -> str | None:
        return reason_against_image_tokens(model_name)

    def classifier(self, inputs: ClassifierInputs) -> DualPrompts:
        own, encoder, std = self.options(inputs), inputs.encoder, self.options(inputs)["start_std"]
        context = start_of_context(inputs, own)
        texts = ContextTexts(encoder, inputs.tokenizer, inputs.names, vectors=len(context))
        free = (own["aware_from"] or encoder.image_blocks) - 1
        tokens = std * torch.randn(free, own["tokens"], encoder.image_width, generator=inputs.generator)
        sizes = (encoder.width, encoder.image_width, len(inputs.names))
        aware = nn.ModuleList(
            ClassAwareTokens(*sizes, std=std, generator=inputs.generator) for _ in range(free, encoder.image_blocks)
        )
        found = DualPrompts(
            texts,
            context,
            tokens.to(context),
            aware.to(context),
            unit(inputs.class_texts()),
            scale=inputs.logit_scale,
            likely=min(own["likely"], len(inputs.names)),
        )
        found.alpha = own["alpha"]
        found.first_steps = own["first_epochs"] * steps_per_epoch(inputs.recipe, len(inputs.train))
        return found

    def loss_terms(self, classifier: DualPrompts, images: Tensor, labels: Tensor) -> LossTerms:
        seen = classifier.readings(images)
        both = cross_entropy(seen["z"], labels)
        terms = {"cross_entropy": both}
        if classifier.step < classifier.first_steps:
            terms = {"frozen_image": cross_entropy(seen["z1"], labels), "hand_text": cross_entropy(seen["z2"], labels)}
            terms["cross_entropy"] = LossTerm(0.1 * both.sum, both.normaliser)
        return {**terms, "right_query": right_query(seen, labels, classifier.alpha)}

    def adjust_gradients(self, classifier: DualPrompts, separate: dict[str, dict[str, Tensor]]) -> None:
        classifier.step += 1  # called once for each step of the optimiser, whatever parts the batch is cut into

    def rate_factor(self, name: str) -> float:
        return 0.2 if name == "context" else 1.0


def right_query(seen: dict[str, Tensor], labels: Tensor, alpha: float) -> LossTerm:
    """alpha times the mean cross-entropy of the readings whose query is the picture's class; 0 if there is none."""
    is_right = (seen["top"] == labels[:, None]).expand(len(seen["read"]), -1, -1)  # (blocks, B, k)
    logits, wanted = seen["read"][is_right], labels[:, None].expand(is_right.shape)[is_right]
    return LossTerm(alpha * F.cross_entropy(logits, wanted, reduction="sum"), is_right.sum().to(logits))
