"""What a detector reads: `LanguageFeatures`, captions made of class names, and where each class stands in them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

MAX_POSITIONS = 256  # of a text encoder; the published code pads every text to it


@dataclass
class LanguageFeatures:
    """The language side of a grounded detector, whoever made it.

    hidden           (B, L, D) hidden states; rows outside `mask` are never read by a valid row
    mask             (B, L)    bool, True on valid positions (class tokens and, for captions, [CLS], [SEP] and ".")
    class_positions  (B, K, L) bool, the positions that stand for each class; a class absent from a caption has none
    phrases          (B, L)    int64, the row at which the phrase of each row begins, for a family that reads phrases
                               apart (see `phrases_of`); None: the whole text is one phrase

    B is 1 for a prompt that is the same for every image; `for_batch` repeats it. L is the number of valid positions of
    the longest row: text is never padded further (padding cannot change a valid row; docs/spec/glip.md 11).
    """

    hidden: Tensor
    mask: Tensor
    class_positions: Tensor
    phrases: Tensor | None = None

    def __post_init__(self):
        batch, length, _ = self.hidden.shape
        of_each_row = [self.mask] if self.phrases is None else [self.mask, self.phrases]
        if any(each.shape != (batch, length) for each in of_each_row) or (
            self.class_positions.shape[::2] != (batch, length)
        ):
            raise ValueError(
                f"language features disagree: hidden {tuple(self.hidden.shape)}, mask {tuple(self.mask.shape)}, "
                f"class_positions {tuple(self.class_positions.shape)}, "
                f"phrases {None if self.phrases is None else tuple(self.phrases.shape)}"
            )

    def for_batch(self, batch_size: int) -> "LanguageFeatures":
        """The same features seen by `batch_size` images; a static prompt (B = 1) is expanded without a copy."""
        if self.hidden.shape[0] == batch_size:
            return self
        return LanguageFeatures(
            hidden=self.hidden.expand(batch_size, -1, -1),  # (B, L, D)
            mask=self.mask.expand(batch_size, -1),  # (B, L)
            class_positions=self.class_positions.expand(batch_size, -1, -1),  # (B, K, L)
            phrases=None if self.phrases is None else self.phrases.expand(batch_size, -1),  # (B, L)
        )

    def padded(self, rows: int) -> "LanguageFeatures":
        """The same with rows of zeros after the last, outside of the mask, up to `rows` in all."""
        batch, length = self.mask.shape
        more, phrases = rows - length, self.phrases
        if phrases is not None:  # each new row is a phrase of its own
            own = torch.arange(length, rows, device=phrases.device).expand(batch, -1)
            phrases = torch.cat([phrases, own], dim=1)  # (B, rows)
        return LanguageFeatures(
            hidden=F.pad(self.hidden, (0, 0, 0, more)),  # (B, rows, D)
            mask=F.pad(self.mask, (0, more)),  # (B, rows)
            class_positions=F.pad(self.class_positions, (0, more)),  # (B, K, rows)
            phrases=phrases,
        )

    def tensors(self) -> dict[str, Tensor]:
        """The form in which text states are stored; `LanguageFeatures(**tensors)` reads it back."""
        tensors = {"hidden": self.hidden, "mask": self.mask, "class_positions": self.class_positions}
        return tensors if self.phrases is None else {**tensors, "phrases": self.phrases}

    def class_means(self) -> Tensor:
        """(B, K, D) the mean of the rows that stand for each class; not a number for a class without one."""
        share = self.class_positions.to(self.hidden.dtype)  # (B, K, L)
        return share @ self.hidden / share.sum(dim=2, keepdim=True)

    @classmethod
    def of_tokens_per_class(cls, vectors: Tensor) -> "LanguageFeatures":
        """(K, N, D) vectors -> features in which class k owns rows k*N … k*N+N-1, its phrase; nothing else is said."""
        classes, tokens, width = vectors.shape
        positions = torch.eye(classes, dtype=torch.bool, device=vectors.device)
        starts = torch.arange(0, classes * tokens, tokens, device=vectors.device)  # (K,)
        return cls(
            hidden=vectors.reshape(1, classes * tokens, width),  # (1, K*N, D)
            mask=torch.ones(1, classes * tokens, dtype=torch.bool, device=vectors.device),
            class_positions=positions.repeat_interleave(tokens, dim=1)[None],  # (1, K, K*N)
            phrases=starts.repeat_interleave(tokens)[None],  # (1, K*N)
        )


def phrases_of(ids: Tensor, delimiters: Sequence[int]) -> Tensor:
    """ids (B, L) -> (B, L) int64: the row at which the phrase of each row begins, as Grounding DINO reads a caption.

    A delimiter closes a phrase: all rows after the delimiter before it, up to and including itself. The first row, rows
    that no delimiter closes (padding) and a phrase whose delimiter is in the last column are phrases of one row each.
    Source: IDEA-Research/GroundingDINO, models/GroundingDINO/bertwarper.py.
    """
    rows = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)  # (B, L)
    is_delimiter = torch.isin(ids, torch.tensor(list(delimiters), device=ids.device))
    last = ids.shape[1] - 1
    closing = rows.masked_fill(~is_delimiter, last).flip(1).cummin(dim=1).values.flip(1)  # at or after each row
    opening = (rows + 1).masked_fill(~is_delimiter, 0).cummax(dim=1).values.roll(1, dims=1)  # after the one before
    opening[:, 0] = 0
    return torch.where((closing > 0) & (closing < last), opening, rows)


def phrase_pairs(phrases: Tensor) -> Tensor:
    """phrases (B, L) -> (B, L, L) bool, True where two rows are of one phrase: only these attend to one another."""
    return phrases[:, :, None] == phrases[:, None, :]


def phrase_places(phrases: Tensor) -> Tensor:
    """phrases (B, L) -> (B, L) int64: the place of each row in its phrase, from 0."""
    return torch.arange(phrases.shape[1], device=phrases.device) - phrases


@dataclass(frozen=True)
class ClassPhrase:
    """How one class is said in a caption: `prefix + name + suffix`, of which only `name` stands for the class."""

    name: str
    prefix: str = ""
    suffix: str = ""


def clean_class_name(name: str) -> str:
    """Drop from the first "(" to the last ")", "_" -> " ", double -> single spaces once (docs/spec/glip.md 2)."""
    if (first := name.find("(")) != -1 and (last := name.rfind(")")) > first:
        name = name[:first] + name[last + 1 :]
    return name.replace("_", " ").replace("  ", " ")


def caption(phrases: Sequence[ClassPhrase]) -> tuple[str, list[tuple[int, int]]]:
    """Phrases joined by ". " -> (text, character span [start, end) of each class name in it)."""
    text, spans = "", []
    for phrase in phrases:
        text += (". " if text else "") + phrase.prefix
        name = clean_class_name(phrase.name)
        spans.append((len(text), len(text) + len(name)))
        text += name + phrase.suffix
    return text, spans


def token_positions(offsets: Sequence[tuple[int, int]], span: tuple[int, int]) -> list[int]:
    """Positions of the word pieces that stand for the characters [start, end) of a caption (docs/spec/glip.md 2).

    `offsets` are the (start, end) characters of each position, (0, 0) for special tokens. The first piece is looked for
    at characters start, start+1, start+2, the last at end-1, end-2, end-3; a span without pieces has no positions.
    """

    def piece_at(character: int) -> int | None:
        return next((i for i, (a, b) in enumerate(offsets) if a <= character < b), None)

    start, end = span
    first = next((p for c in (start, start + 1, start + 2) if (p := piece_at(c)) is not None), None)
    last = next((p for c in (end - 1, end - 2, end - 3) if c >= 0 and (p := piece_at(c)) is not None), None)
    return [] if first is None or last is None else list(range(first, last + 1))
