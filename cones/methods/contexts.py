"""The text conditioning of the UNet, one module per method: `context(templates) -> (B, L, D)`."""

import importlib
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from cones.methods.method import METHODS, TuningMethod
from cones.models.generator import SubjectEmbedding
from cones.runtime.errors import ConesError

Mode = Literal["bare", "slot", "bos"]


@dataclass(frozen=True)
class TextParts:
    """The text encoder and its tokenizer. A ConES process has none."""

    encoder: nn.Module
    tokenizer: object

    @property
    def positions(self) -> int:
        return self.tokenizer.model_max_length

    def ids(self, text: str) -> Tensor:
        """(L,) start, words, end, padding."""
        encoded = self.tokenizer(
            text, padding="max_length", max_length=self.positions, truncation=True, return_tensors="pt"
        )
        return encoded.input_ids[0]

    def words(self, text: str) -> list[int]:
        """Ids of the word pieces alone."""
        return self.tokenizer(text, add_special_tokens=False).input_ids

    @torch.no_grad()
    def states(self, texts: Sequence[str]) -> Tensor:
        """(B, L, D) last hidden states, as Stable Diffusion is conditioned on them."""
        ids = torch.stack([self.ids(text) for text in texts]).to(self.device)
        return self.encoder(ids).last_hidden_state

    @property
    def device(self) -> torch.device:
        return self.encoder.get_input_embeddings().weight.device


@dataclass
class SubjectInputs:
    """The inputs from which a method makes its context.

    tokens     N vectors
    null       (1, L, D) states of the empty prompt, computed once and stored
    class_rows (P, D) states of the class noun's word pieces, or None
    text       the text encoder, only for methods whose registry line asks for it
    stage1     what stage 1 learnt of the subject, only for stage 2
    """

    class_word: str
    generator: torch.Generator
    null: Tensor
    tokens: int = 1
    mode: Mode = "bare"
    init: Literal["random", "class", "null"] = "random"
    init_std: float = 1.0
    class_rows: Tensor | None = None
    text: TextParts | None = None
    stage1: SubjectEmbedding | None = None


class Context(nn.Module):
    """The text conditioning of one method, named in its registry entry (`context`).

    `vectors` (N, D) train and nothing else, unless it `trains_unet`: then the UNet trains and the vectors are fixed.
    """

    vectors: nn.Parameter | None
    mode: str = ""
    trains_unet: bool = False

    def __init__(self):
        super().__init__()
        self.register_parameter("vectors", None)

    @staticmethod
    def of(method: str, prompt_inputs: SubjectInputs) -> "Context":
        """The context of a method by its key; a method that cannot draw pictures is refused with its reason."""
        target = METHODS[method].context
        if target is None:
            raise ConesError(
                f"{method} cannot learn a subject",
                found=TuningMethod.load(method).not_for_generators,
                next_step="choose an arm that draws",
            )
        module, _, attribute = target.partition(":")
        return getattr(importlib.import_module(module), attribute).started(prompt_inputs)

    @classmethod
    @abstractmethod
    def started(cls, prompt_inputs: SubjectInputs) -> "Context":
        """The context before the first training step."""

    @abstractmethod
    def forward(self, templates: Sequence[str]) -> Tensor:
        """(B, L, D), one row per template; a template holds `{}` in the subject's place."""


class ClassNameContext(Context):
    """The class noun through the frozen text encoder."""

    def __init__(self, text: TextParts, class_word: str):
        super().__init__()
        self.text, self.class_word = text, class_word

    @classmethod
    def started(cls, prompt_inputs: SubjectInputs) -> "ClassNameContext":
        return cls(prompt_inputs.text, prompt_inputs.class_word)

    def forward(self, templates: Sequence[str]) -> Tensor:
        return self.text.states([template.format(self.class_word) for template in templates])


class PseudoWordContext(Context):
    """Textual inversion: N pseudo-words at the text encoder's input, started as copies of the class noun's last word.

    The embedding matrix neither grows nor trains: a hook on it writes the vectors where the pseudo-words stand, so
    gradients reach these rows alone.
    """

    def __init__(self, text: TextParts, class_word: str, tokens: int):
        super().__init__()
        self.text, self.class_word = text, class_word
        pieces = text.words(class_word.split()[-1])
        start = text.encoder.get_input_embeddings().weight[pieces].mean(0)  # one piece in CLIP's own vocabulary
        self.vectors = nn.Parameter(start.detach().float().repeat(tokens, 1))  # (N, D)

    @classmethod
    def started(cls, prompt_inputs: SubjectInputs) -> "PseudoWordContext":
        return cls(prompt_inputs.text, prompt_inputs.class_word, prompt_inputs.tokens)

    def forward(self, templates: Sequence[str]) -> Tensor:
        encoded = [self._laid_out(template) for template in templates]
        ids = torch.stack([ids for ids, _ in encoded]).to(self.vectors.device)
        learned = torch.stack([mask for _, mask in encoded]).to(self.vectors.device)  # (B, L)

        def write(module: nn.Module, inputs, embedded: Tensor) -> Tensor:
            rows = self.vectors.to(embedded.dtype).repeat(len(ids), 1)  # (B N, D)
            return embedded.masked_scatter(learned[..., None], rows)

        handle = self.text.encoder.get_input_embeddings().register_forward_hook(write)
        try:
            return self.text.encoder(ids).last_hidden_state
        finally:
            handle.remove()

    def _laid_out(self, template: str) -> tuple[Tensor, Tensor]:
        """Ids (L,) with the end token in the vectors' places, and a mask (L,) bool of these places."""
        before, _, after = template.partition("{}")
        tokenizer, tokens = self.text.tokenizer, len(self.vectors)
        words = [tokenizer.bos_token_id, *self.text.words(before)]
        start = len(words)
        if start + tokens >= self.text.positions:
            raise ConesError(
                "the pseudo-words do not fit into the prompt",
                where=f'"{template}"',
                expected=f"at most {self.text.positions} word pieces",
                found=f"{start} before them and {tokens} vectors",
                next_step="set smaller `tokens` in generation.tuning",
            )
        words += [tokenizer.eos_token_id] * tokens + self.text.words(after)
        words = [*words[: self.text.positions - 1], tokenizer.eos_token_id]
        ids = torch.full((self.text.positions,), tokenizer.pad_token_id)
        ids[: len(words)] = torch.tensor(words)
        learned = torch.zeros(self.text.positions, dtype=torch.bool)
        learned[start : start + tokens] = True
        return ids, learned


class ConceptContext(Context):
    """ConES: N free vectors instead of the text encoder's output.

    bare  the vectors alone: length N. With N = 1 cross-attention is degenerate: a softmax over one key is 1, so every
          layer adds the same vector at all places, and queries and keys play no role.
    slot  the null prompt's states with positions 1 … N overwritten: length L
    bos   the null prompt's first state, then the vectors: length 1 + N
    """

    def __init__(self, vectors: Tensor, null: Tensor, mode: Mode):
        super().__init__()
        if mode not in ("bare", "slot", "bos"):
            raise ConesError(
                f'unknown mode "{mode}" of the concept embeddings',
                expected="bare, slot or bos",
                next_step="correct `mode` in generation.tuning",
            )
        if mode == "slot" and len(vectors) >= null.shape[1]:
            raise ConesError(
                "too many vectors for the prompt's positions",
                expected=f"fewer than {null.shape[1]}",
                found=len(vectors),
                next_step="set smaller `tokens` in generation.tuning",
            )
        self.vectors, self.mode = nn.Parameter(vectors.float()), mode  # (N, D)
        self.register_buffer("null", null.float(), persistent=False)  # (1, L, D)

    @classmethod
    def started(cls, prompt_inputs: SubjectInputs) -> "ConceptContext":
        """The paper starts at random; `class` is the mean state of the class noun, `null` the null prompt's states."""
        tokens, null = prompt_inputs.tokens, prompt_inputs.null
        if prompt_inputs.init == "random":
            width = null.shape[-1]
            start = torch.randn(tokens, width, generator=prompt_inputs.generator) * prompt_inputs.init_std
        elif prompt_inputs.init == "class":
            if prompt_inputs.class_rows is None:
                raise ConesError(
                    "no states of the class noun to start from",
                    next_step="compute them: python -m cones generation encode",
                )
            start = prompt_inputs.class_rows.float().mean(0).repeat(tokens, 1)
        else:
            start = null[0, 1 : 1 + tokens].clone()
        return cls(start, null, prompt_inputs.mode)

    def forward(self, templates: Sequence[str]) -> Tensor:
        vectors, null = self.vectors[None], self.null  # (1, N, D), (1, L, D)
        if self.mode == "slot":
            vectors = torch.cat([null[:, :1], vectors, null[:, 1 + vectors.shape[1] :]], dim=1)  # (1, L, D)
        elif self.mode == "bos":
            vectors = torch.cat([null[:, :1], vectors], dim=1)  # (1, 1 + N, D)
        return vectors.expand(len(templates), -1, -1)


class FixedConceptContext(ConceptContext):
    """ConES, stage 2: the vectors of stage 1 where stage 1 had them, fixed."""

    trains_unet = True

    @classmethod
    def started(cls, prompt_inputs: SubjectInputs) -> "FixedConceptContext":
        stage1 = prompt_inputs.stage1
        if stage1 is None or not stage1.mode:
            raise ConesError(
                "no concept embedding to fix",
                found="nothing" if stage1 is None else f"what {stage1.method} learnt",
                next_step="name an arm of cones in `stage1` of this arm",
            )
        context = cls(stage1.vectors, prompt_inputs.null, stage1.mode)
        context.vectors.requires_grad_(False)
        return context


def spliced(text: TextParts, template: str, class_word: str, vectors: Tensor) -> Tensor:
    """(1, L, D) states of a prompt with the class noun, the noun's rows replaced by the vectors (N, D).

    An extension of this project for prompts with a scene (`cones_splice`): the encoder is used, at inference only.
    Longer than the noun, the vectors are inserted and the last pads dropped; shorter, the last pad is repeated.
    """
    states = text.states([template.format(class_word)])  # (1, L, D)
    start = 1 + len(text.words(template.partition("{}")[0]))
    end = start + len(text.words(class_word))
    rows = torch.cat([states[0, :start], vectors.to(states), states[0, end:]])
    short = states.shape[1] - len(rows)
    if short > 0:
        rows = torch.cat([rows, rows[-1:].expand(short, -1)])
    return rows[None, : states.shape[1]]
