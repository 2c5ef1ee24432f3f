"""What joint prompts share: pictures and class texts are compared, and learned vectors stand in both encoders."""

from abc import abstractmethod

from torch import Tensor, nn

from baselines.text_prompts.context import WORDS, ContextTexts, context_of_words, drawn_context
from baselines.text_prompts.kept_texts import KeptTexts
from cones.methods.classifier import Classifier, ClassifierInputs, ClassifierMethod
from cones.models.dual_encoder import BlockTokens, DualEncoder, scaled_cosines
from cones.models.missing_places import reason_against_image_tokens
from cones.runtime.errors import ConesError


class JointPrompts(nn.Module):
    """Everything that trains; it belongs to no class."""

    @abstractmethod
    def of_texts(self) -> tuple[Tensor, BlockTokens | None]:
        """The context (M, w) at the text encoder's input, and what replaces it in later blocks."""

    @abstractmethod
    def of_images(self) -> BlockTokens:
        """What joins the sequence of the image encoder."""


class DeepPrompts(JointPrompts):
    """Of the texts context (n, w), and deep (J - 1, n, w) in its place before each later block."""

    def __init__(self, context: Tensor, deep: Tensor):
        super().__init__()
        self.context, self.deep = nn.Parameter(context), nn.Parameter(deep)

    def of_texts(self) -> tuple[Tensor, BlockTokens]:
        return self.context, BlockTokens(dict(enumerate(self.deep, start=1)))


class PromptedEncoders(Classifier):
    """Pixels (B, 3, side, side) -> logits = `scale` * cosine of prompted image and prompted text; the encoders rest."""

    keeps_texts = True

    def __init__(self, texts: ContextTexts, prompts: JointPrompts, scale: float):
        super().__init__()
        self.texts, self.prompts, self.scale = texts, prompts, scale
        self.kept = KeptTexts()

    @property
    def encoder(self) -> DualEncoder:
        return self.texts.encoder

    def class_texts(self) -> Tensor:
        """(K, d), not normalised; at test computed once for as long as no prompt changes."""
        return self.kept.at_test(self, self.prompts.parameters(), lambda: self.texts(*self.prompts.of_texts()))

    def encode(self, images: Tensor) -> Tensor:
        """(B, d), not normalised."""
        return self.encoder.encode_image(images, tokens=self.prompts.of_images()).pooled

    def forward(self, images: Tensor) -> Tensor:
        return scaled_cosines(self.encode(images), self.class_texts(), self.scale)


class JointPromptMethod(ClassifierMethod):
    """Its prompts belong to no class, and so serve any."""

    reads = frozenset({"image_encoder", "text_encoder"})
    unseen_classes = True

    def supports(self, model_name: str, setting: str) -> str | None:
        return reason_against_image_tokens(model_name)

    def for_classes(self, classifier: PromptedEncoders, inputs: ClassifierInputs) -> PromptedEncoders:
        return self.of_classes(inputs, classifier.prompts)

    @abstractmethod
    def of_classes(self, inputs: ClassifierInputs, prompts: JointPrompts) -> PromptedEncoders:
        """The classifier of the inputs' classes with these prompts."""


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
