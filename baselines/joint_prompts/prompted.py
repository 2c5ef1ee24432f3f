"""What joint prompts share: pictures and class texts are compared, and learned vectors stand in both encoders."""

from abc import abstractmethod

import torch
from torch import Tensor, nn

from baselines.text_prompts.context import WORDS, ContextTexts, context_of_words, drawn_context
from cones.methods.classifier import Classifier, ClassifierInputs
from cones.models.dual_encoder import BlockTokens, DualEncoder, scaled_cosines
from cones.runtime.errors import ConesError


class JointPrompts(nn.Module):
    """Everything that trains; it belongs to no class."""

    @abstractmethod
    def of_texts(self) -> tuple[Tensor, BlockTokens | None]:
        """The context (M, w) at the text encoder's input, and what replaces it in later blocks."""

    @abstractmethod
    def of_images(self) -> BlockTokens:
        """What joins the sequence of the image encoder."""


class PromptedEncoders(Classifier):
    """Pixels (B, 3, side, side) -> logits = `scale` * cosine of prompted image and prompted text; the encoders rest."""

    def __init__(self, texts: ContextTexts, prompts: JointPrompts, scale: float):
        super().__init__()
        self.texts, self.prompts, self.scale = texts, prompts, scale
        self.kept: tuple[Tensor, Tensor] | None = None  # values of the prompts, the texts that were made with them

    @property
    def encoder(self) -> DualEncoder:
        return self.texts.encoder

    def class_texts(self) -> Tensor:
        """(K, d), not normalised; at test computed once for as long as no prompt changes."""
        if torch.is_grad_enabled() or self.training:
            return self.texts(*self.prompts.of_texts())
        values = torch.cat([value.flatten() for value in self.prompts.parameters()])
        if self.kept is None or not torch.equal(self.kept[0], values):
            self.kept = (values, self.texts(*self.prompts.of_texts()))
        return self.kept[1]

    def encode(self, images: Tensor) -> Tensor:
        """(B, d), not normalised."""
        return self.encoder.encode_image(images, tokens=self.prompts.of_images()).pooled

    def forward(self, images: Tensor) -> Tensor:
        return scaled_cosines(self.encode(images), self.class_texts(), self.scale)


def start_of_words(inputs: ClassifierInputs, count: int, *, std: float) -> Tensor:
    """(M, w): the vectors of the first `count` words of "a photo of a"; from N(0, std²) if there are not as many."""
    words = WORDS.split()
    if count > len(words):
        return drawn_context(inputs, count, std=std)
    return context_of_words(inputs.encoder, inputs.tokenizer, " ".join(words[:count]))


def texts_behind_words(inputs: ClassifierInputs, count: int, vectors: int) -> ContextTexts:
    """Texts "a photo of a <name>." of which the first `count` words are `vectors` vectors; those behind them stay."""
    behind = WORDS.split()[count:]
    names = [" ".join([*behind, name]) for name in inputs.names]
    return ContextTexts(inputs.encoder, inputs.tokenizer, names, vectors=vectors)


def checked_depth(encoder: DualEncoder, depth: int) -> int:
    """The number of blocks that get fresh vectors, in both encoders; ConesError if one of these has not as many."""
    most = min(encoder.image_blocks, encoder.text_blocks)
    if not 1 <= depth <= most:
        raise ConesError(
            "the prompts are for more blocks than this model has",
            where="recipe.options.depth",
            expected=f"1 to {most}",
            found=depth,
            next_step=f"give the arm a depth that fits: recipe: {{options: {{depth: {max(1, most * 3 // 4)}}}}}",
        )
    return depth
