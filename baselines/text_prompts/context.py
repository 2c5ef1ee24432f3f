"""Learned vectors among the tokens of class names, at the input of a frozen text encoder: the path of CoOp's family.

Source: CoOp (arXiv 2109.01134, section 3.2), KaiyangZhou/CoOp ff61507, trainers/coop.py. Each class is a text of its
own. The detectors' counterpart, `SoftCaption` (cones/methods/prompts.py), puts all classes into one caption, whose
words see each other in both directions, and takes the output at every token; here the output is one row at the end.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.text_prompts.kept_texts import KeptTexts
from cones.methods.classifier import Classifier, ClassifierInputs, choice
from cones.models.dual_encoder import BlockTokens, DualEncoder, ImageFeatures, Tokenizer, scaled_cosines, unit
from cones.models.losses import LossTerm
from cones.runtime.errors import ConesError

PLACEHOLDER = "X"  # a text of one token: what it means is replaced
WORDS = "a photo of a"
POSITIONS = ("end", "middle", "front")
START = {"vectors": 16, "words": None, "start_std": 0.02}
OPTIONS = {**START, "position": "end", "class_specific": False}
"""vectors         M, the number of context vectors
words           the context starts as these words, and M is their number of tokens; None: at random
position        end: vectors, name, full stop; middle: M // 2 vectors, name, the other vectors, full stop;
                front: name, vectors, full stop
class_specific  whether each class has vectors of its own
start_std       standard deviation of a random start
"""


class ContextTexts(nn.Module):
    """The texts of K classes, in each of which M rows are given as vectors at every call; `stop` ends each of them.

    The end's row is that of the text with M placeholders. Nothing here is state: buffers are left out of it.
    """

    def __init__(
        self,
        encoder: DualEncoder,
        tokenizer: Tokenizer,
        names: Sequence[str],
        *,
        vectors: int,
        position: str = "end",
        stop: str = ".",
    ):
        super().__init__()
        self.encoder, self.vectors = encoder.requires_grad_(False).eval(), vectors
        ids, ends = tokenizer([" ".join([PLACEHOLDER] * vectors + [f"{name}{stop}"]) for name in names])
        if len(tokenizer.ids_of(PLACEHOLDER)) != 1:
            raise ConesError("the vocabulary has no single token for a placeholder", found=PLACEHOLDER)
        device = encoder.logit_scale.device
        ids, length = ids.to(device), int(ends.max()) + 1
        with torch.no_grad():
            words = encoder.embed_text(ids[:, :length])  # (K, L, w): no row sees those behind the last end
        rows = [placed_rows(vectors, len(tokenizer.ids_of(name)), length, position) for name in names]
        self.register_buffer("words", words, persistent=False)
        self.register_buffer("ends", ends.to(device), persistent=False)
        self.register_buffer("rows", torch.tensor(rows, device=device), persistent=False)  # (K, L)

    def train(self, mode: bool = True) -> "ContextTexts":
        return super().train(False)

    def __len__(self) -> int:
        return len(self.words)

    def rows_of(self, context: Tensor) -> Tensor:
        """Vectors as in `forward` -> what the encoder reads, before positions are added: (…, K, L, w)."""
        words, more = self.words, context.shape[:-3]
        context = context.expand(*more, len(words), self.vectors, words.shape[-1])
        words = words.expand(*more, *words.shape)
        joined = torch.cat([words[..., :1, :], context, words[..., 1 + self.vectors :, :]], dim=-2)
        return joined.gather(-2, self.rows[..., None].expand_as(joined))

    def forward(self, context: Tensor, tokens: BlockTokens | None = None) -> Tensor:
        """Vectors (M, w) or (…, 1, M, w) for all classes alike, or (…, K, M, w) -> (…, K, d), not normalised.

        `tokens` replace rows of the later blocks.
        """
        rows = self.rows_of(context)
        more = rows.shape[:-3]
        features = self.encoder.encode_text(rows.flatten(0, -3), self.ends.repeat(prod(more)), tokens=tokens)
        return features.unflatten(0, (*more, len(self))) if more else features


def placed_rows(vectors: int, name: int, length: int, position: str) -> list[int]:
    """Which row of "start, vectors, name, rest" stands at each place of a text; `name` is the name's tokens."""
    context, behind = list(range(1, 1 + vectors)), 1 + vectors + name
    before = {"end": vectors, "middle": vectors // 2, "front": 0}[choice("position", position, POSITIONS)]
    moved = [*context[:before], *range(1 + vectors, behind), *context[before:]]
    return [0, *moved, *range(behind, length)]


class ContextClassifier(Classifier):
    """logits = `scale` * cosine of image and class text; the context trains."""

    keeps_texts = True

    def __init__(self, texts: ContextTexts, context: Tensor, scale: float):
        super().__init__()
        self.kept = KeptTexts()
        self.texts, self.scale = texts, scale
        self.context = context if isinstance(context, nn.Parameter) else nn.Parameter(context.clone())

    def class_texts(self) -> Tensor:
        """(K, d), not normalised; at test made once for as long as the context does not change."""
        return self.kept.at_test(self, [self.context], self.made_texts)

    def made_texts(self) -> Tensor:
        return self.texts(self.context)

    def forward(self, images: ImageFeatures) -> Tensor:
        return self.compare(images, self.class_texts())

    def compare(self, images: ImageFeatures, texts: Tensor) -> Tensor:
        """Logits (B, K) with class texts that are made already."""
        return scaled_cosines(images.pooled, texts, self.scale)


def image_by_image(images: Tensor, texts: Tensor, scale: float) -> Tensor:
    """Images (B, d) and texts of each (…, B, K, d) -> logits (…, B, K)."""
    return scale * torch.einsum("bd,...bkd->...bk", unit(images), unit(texts))


def cross_entropy(logits: Tensor, labels: Tensor) -> LossTerm:
    """Its mean over the images."""
    return LossTerm(F.cross_entropy(logits, labels, reduction="sum"), images_in(labels))


def of_classes(value: Tensor, labels: Tensor) -> LossTerm:
    """A number that depends on no image, whole in every batch: its share goes with the images of a part."""
    return LossTerm(value * len(labels), images_in(labels))


def images_in(labels: Tensor) -> Tensor:
    return torch.full((), float(len(labels)), device=labels.device)


def context_of_words(encoder: DualEncoder, tokenizer: Tokenizer, words: str) -> Tensor:
    """(M, w): the vectors of all tokens of some words."""
    ids, ends = tokenizer([words])
    with torch.no_grad():
        return encoder.embed_text(ids.to(encoder.logit_scale.device))[0, 1 : int(ends[0])].clone()


def drawn_context(inputs: ClassifierInputs, *shape: int, std: float) -> Tensor:
    """Vectors from N(0, std²), by the cell's generator."""
    drawn = std * torch.randn(*shape, inputs.encoder.text_width, generator=inputs.generator)
    return drawn.to(inputs.encoder.logit_scale)


def start_of_context(inputs: ClassifierInputs, own: dict[str, Any]) -> Tensor:
    """(M, w), or (K, M, w) of class-specific vectors, as the options say."""
    classes, is_specific = len(inputs.names), own.get("class_specific", False)
    if own["words"] is None:
        shape = (classes, own["vectors"]) if is_specific else (own["vectors"],)
        return drawn_context(inputs, *shape, std=own["start_std"])
    context = context_of_words(inputs.encoder, inputs.tokenizer, own["words"])
    return context.expand(classes, -1, -1).clone() if is_specific else context
