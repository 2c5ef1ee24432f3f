"""Prompts: the modules that make the language features of a model. A method of the paper is little more than one."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor, nn

from cones.methods.method import PromptInputs
from cones.models.detector import FeaturePyramid
from cones.models.language import MAX_POSITIONS, ClassPhrase, LanguageFeatures, caption, token_positions
from cones.models.text_encoder import DeepRows
from cones.runtime.errors import ConesError


@dataclass
class PromptContext:
    """What a prompt may depend on: the number of images and their features, None where there are no images, as for a
    static prompt."""

    batch_size: int = 1
    pyramid: FeaturePyramid | None = None


class Prompt(nn.Module):
    """A module that makes the language features of all classes: `prompt(context) -> LanguageFeatures`.

    is_static  the result does not depend on the context: it is stored when tuning ends, and scoring reads it. False for
               a prompt that looks at the image: it is made again for scoring, of the method's inputs and of what was
               stored: its trained parameters and its persistent buffers
    """

    is_static: bool = True

    @abstractmethod
    def forward(self, context: PromptContext) -> LanguageFeatures:
        """Language features with B = 1 row for all images, or one for each of `context.batch_size` images."""

    def for_images(self, pyramid: FeaturePyramid) -> LanguageFeatures:
        """Language features with a row for each image of the pyramid."""
        images = len(pyramid.sizes)
        return self(PromptContext(images, pyramid)).for_batch(images)

    def without_images(self) -> LanguageFeatures:
        """The language features of a static prompt, one row for all images."""
        return self(PromptContext())

    def at_test(self) -> "Prompt":
        """Of a static prompt what a method's own rule for test images reads: itself. One of which such a rule needs no
        more than language features that are made once says so here."""
        return self


class FixedPrompt(Prompt):
    """Language features read from a file: the class names of a frozen text encoder, or stage-1 concept embeddings."""

    def __init__(self, features: LanguageFeatures):
        super().__init__()
        self.names = tuple(features.tensors())
        for name, tensor in features.tensors().items():
            self.register_buffer(name, tensor.clone(), persistent=False)

    def forward(self, context: PromptContext) -> LanguageFeatures:
        return LanguageFeatures(**{name: getattr(self, name) for name in self.names})


@dataclass
class EncodedCaption:
    """A caption as the text encoder takes it: ids (L,), class_positions (K, L) bool.

    phrases (L,) int64 where the family reads phrases apart, as in `LanguageFeatures`; else None.
    """

    ids: Tensor
    class_positions: Tensor
    phrases: Tensor | None = None


def check_length(positions: int) -> None:
    """ConesError for a caption longer than the text encoder's 256 positions: truncated classes are never detected."""
    if positions > MAX_POSITIONS:
        raise ConesError(
            "the caption of all classes is too long for the text encoder",
            expected=f"at most {MAX_POSITIONS} word pieces and vectors",
            found=positions,
            next_step="fewer `tokens_per_class` where vectors stand in it, shorter `prompts` where names do",
        )


def encode_caption(tokenizer, phrases: Sequence[ClassPhrase]) -> EncodedCaption:
    """Class phrases -> word-piece ids with [CLS] and [SEP], and the positions of each class."""
    encoded = encode_text(tokenizer, *caption(phrases))
    _refuse_same_words(encoded, phrases)
    return encoded


def _refuse_same_words(encoded: EncodedCaption, phrases: Sequence[ClassPhrase]) -> None:
    """ConesError for two classes that the text encoder reads as the same words, such as Ship and ship."""
    first: dict[tuple, ClassPhrase] = {}
    for phrase, row in zip(phrases, encoded.class_positions):
        words = (tuple(encoded.ids[row].tolist()), phrase.prefix, phrase.suffix)
        if (other := first.setdefault(words, phrase)) is not phrase:
            raise ConesError(
                f'the text encoder reads the classes "{other.name}" and "{phrase.name}" as the same words',
                next_step="give one of them another phrase in `prompts` of this dataset in its registry",
            )


def encode_text(tokenizer, text: str, spans: Sequence[tuple[int, int]]) -> EncodedCaption:
    """Encode a text in which characters [start, end) stand for each class; it ends as the family's captions do."""
    if tokenizer.style.ends_with_stop and not text.endswith("."):
        text += "."
    encoding = tokenizer.encode(text)
    check_length(len(encoding.ids))
    offsets = [(0, 0) if special else offset for offset, special in zip(encoding.offsets, encoding.special_tokens_mask)]
    positions = torch.zeros(len(spans), len(encoding.ids), dtype=torch.bool)  # (K, L)
    unknown = tokenizer.token_to_id("[UNK]")
    for row, span in zip(positions, spans):
        pieces = token_positions(offsets, span)
        if all(encoding.ids[piece] == unknown for piece in pieces):
            name = text[slice(*span)]
            raise ConesError(
                f'the class name "{name}" has no letter or digit that the text encoder knows',
                next_step="give the class another phrase in `prompts` of this dataset in its registry",
            )
        row[pieces] = True
    ids = torch.tensor(encoding.ids)
    phrases = tokenizer.phrases_of(ids[None])
    return EncodedCaption(ids, positions, None if phrases is None else phrases[0])


def random_vectors(prompt_inputs: PromptInputs, width: int, *, shared: bool = False) -> Tensor:
    """(K, N, width) the random start of every method's vectors: normal, with standard deviation `start_std`; of vectors
    that all classes share (1, N, width)."""
    if prompt_inputs.start_std is None:
        raise ConesError(
            "the vectors start at random, and nothing says with which standard deviation",
            where=f"method {prompt_inputs.settings.method}",
            next_step='name one in its registry entry, such as "start_std": 1.0',
        )
    shape = (1 if shared else len(prompt_inputs.phrases), prompt_inputs.settings.tokens_per_class, width)
    return torch.randn(shape, generator=prompt_inputs.generator) * prompt_inputs.start_std


class SoftCaption(Prompt):
    """A caption with learnable vectors at some positions of the text encoder's *input*: textual inversion, CoOp.

    vectors  (K, N, D) N vectors for each class
    slots    what stands at each of the L positions: a word-piece id, or `(class, n)` for a vector
    class_positions (K, L) bool
    phrases  (L,) int64 where the family reads phrases apart, as in `LanguageFeatures`; else None
    """

    def __init__(
        self,
        *,
        text_encoder: nn.Module,
        vectors: Tensor,
        slots: Sequence[int | tuple[int, int]],
        class_positions: Tensor,
        phrases: Tensor | None = None,
    ):
        super().__init__()
        self.text_encoder = text_encoder
        self.vectors = nn.Parameter(vectors)  # (K, N, D)
        tokens = vectors.shape[1]
        learned = [isinstance(slot, tuple) for slot in slots]
        ids = [0 if isinstance(slot, tuple) else slot for slot in slots]
        rows = [slot[0] * tokens + slot[1] if isinstance(slot, tuple) else 0 for slot in slots]
        self.register_buffer("learned", torch.tensor(learned)[:, None], persistent=False)  # (L, 1)
        self.register_buffer("ids", torch.tensor(ids), persistent=False)  # (L,)
        self.register_buffer("rows", torch.tensor(rows), persistent=False)  # (L,)
        self.register_buffer("places", torch.tensor(learned).nonzero()[:, 0], persistent=False)  # (R,) of the vectors
        self.register_buffer("class_positions", class_positions[None], persistent=False)  # (1, K, L)
        self.register_buffer("phrases", None if phrases is None else phrases[None], persistent=False)  # (1, L)

    @classmethod
    def of_classes(
        cls,
        *,
        class_slots: list[list[int | tuple[int, int]]],
        stands_for_class: list[list[bool]],
        vectors: Tensor,
        prompt_inputs: PromptInputs,
    ) -> "SoftCaption":
        """A caption of all classes: [CLS], the slots of each class with "." between (and behind the last, if the
        family's captions end so), [SEP].

        class_slots      slots of each class: word-piece ids, or `(class, n)` for a vector
        stands_for_class which of these slots are positives
        """
        tokenizer = prompt_inputs.tokenizer
        token_id = tokenizer.token_to_id
        slots: list[int | tuple[int, int]] = [token_id("[CLS]")]
        spans = []
        for k, words in enumerate(class_slots):
            slots += [token_id(".")] if k else []
            spans.append(len(slots))
            slots += words
        slots += [token_id(".")] if tokenizer.style.ends_with_stop else []
        slots.append(token_id("[SEP]"))
        check_length(len(slots))
        pieces = torch.tensor([[-1 if isinstance(slot, tuple) else slot for slot in slots]])  # (1, L)
        phrases = tokenizer.phrases_of(pieces)
        class_positions = torch.zeros(len(class_slots), len(slots), dtype=torch.bool)  # (K, L)
        for row, start, positive in zip(class_positions, spans, stands_for_class):
            row[start : start + len(positive)] = torch.tensor(positive)
        return cls(
            text_encoder=prompt_inputs.text_encoder,
            vectors=vectors,
            slots=slots,
            class_positions=class_positions,
            phrases=None if phrases is None else phrases[0],
        )

    def forward(self, context: PromptContext) -> LanguageFeatures:
        return self.with_vectors(self.vectors[None])

    def with_vectors(self, vectors: Tensor, deep: Mapping[int, Tensor] = MappingProxyType({})) -> LanguageFeatures:
        """The features of the caption with other vectors (B, K, N, D) in the same places: one row for each of B.

        deep  {layer of the text encoder, from 1: (K, N, D)}: what replaces their rows before that layer
        """
        words = self.text_encoder.embeddings.word_embeddings(self.ids)  # (L, D)
        embeddings = torch.where(self.learned, vectors.flatten(1, 2)[:, self.rows], words)  # (B, L, D)
        texts = len(embeddings)
        mask = torch.ones(embeddings.shape[:2], dtype=torch.bool, device=embeddings.device)
        phrases = None if self.phrases is None else self.phrases.expand(texts, -1)
        by_layer = {layer: rows.flatten(0, 1)[self.rows[self.places]] for layer, rows in deep.items()}  # (R, D) each
        further = {"deep": DeepRows(self.places, by_layer)} if deep else {}
        hidden = self.text_encoder(inputs_embeds=embeddings, mask=mask, phrases=phrases, **further)  # (B, L, D)
        return LanguageFeatures(hidden, mask, self.class_positions.expand(texts, -1, -1), phrases)


class CaptionPrompt(Prompt):
    """Class names through a text encoder: `caption -> (1, L, D)`. Used frozen (once per dataset) or trained (full)."""

    def __init__(self, text_encoder: nn.Module, encoded: EncodedCaption):
        super().__init__()
        self.text_encoder = text_encoder
        self.register_buffer("ids", encoded.ids[None], persistent=False)  # (1, L)
        self.register_buffer("class_positions", encoded.class_positions[None], persistent=False)  # (1, K, L)
        phrases = None if encoded.phrases is None else encoded.phrases[None]
        self.register_buffer("phrases", phrases, persistent=False)  # (1, L)

    def forward(self, context: PromptContext) -> LanguageFeatures:
        mask = torch.ones_like(self.ids, dtype=torch.bool)
        hidden = self.text_encoder(input_ids=self.ids, mask=mask, phrases=self.phrases)  # (1, L, D)
        return LanguageFeatures(hidden, mask, self.class_positions, self.phrases)
