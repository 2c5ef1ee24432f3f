"""Texts -> token ids: CLIP's byte-level BPE (openai/CLIP, clip/simple_tokenizer.py); WordPiece for the nano model."""

import gzip
import html
import itertools
import json
import unicodedata
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from cones.models.clip.config import BPE_ENTRIES
from cones.models.text_encoder import load_tokenizer
from cones.runtime.errors import ConesError

START, END = "<|startoftext|>", "<|endoftext|>"
WORD_END = "</w>"
# contractions, runs of letters, single digits, runs of anything else: BPE never joins two of these
PIECES = r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
SINGLE_QUOTES, DOUBLE_QUOTES = "\u02bc\u2018\u2019\u201a\u201b", "\u201c\u201d\u201e\u201f"
STRAIGHT = str.maketrans({**dict.fromkeys(SINGLE_QUOTES, "'"), **dict.fromkeys(DOUBLE_QUOTES, '"')})


class ContextTokenizer:  # a `cones.models.dual_encoder.Tokenizer`
    """Texts -> rows of a fixed length: start, the text, end, zeros.

    context_length  positions of a row, start and end included
    start, end      ids of the tokens before and after every text
    entries         of the vocabulary
    """

    def __init__(self, tokenizer, *, start: str, end: str, context_length: int, clean: Callable[[str], str]):
        self._tokenizer, self._clean = tokenizer, clean
        self.start, self.end = tokenizer.token_to_id(start), tokenizer.token_to_id(end)
        self._unknown = tokenizer.token_to_id("[UNK]")  # None where every text can be spelt
        self.entries = tokenizer.get_vocab_size()
        self.context_length = context_length

    def __call__(self, texts: Sequence[str], *, truncate: bool = False) -> tuple[Tensor, Tensor]:
        """As `Tokenizer`; `truncate` is what `clip.tokenize(…, truncate=True)` does."""
        ids = torch.zeros(len(texts), self.context_length, dtype=torch.int64)
        ends = torch.zeros(len(texts), dtype=torch.int64)
        for row, text in enumerate(texts):
            tokens = [self.start, *self.ids_of(text), self.end]
            if len(tokens) > self.context_length:
                if not truncate:
                    raise ConesError(
                        "the text is too long for the text encoder",
                        where=f'"{text[:60]}…"' if len(text) > 60 else f'"{text}"',
                        expected=f"at most {self.context_length} tokens, start and end included",
                        found=len(tokens),
                        next_step="shorten the class's name (`texts`) or the `template` in the dataset's entry",
                    )
                tokens = [*tokens[: self.context_length - 1], self.end]
            ids[row, : len(tokens)] = torch.tensor(tokens)
            ends[row] = len(tokens) - 1
        return ids, ends

    def ids_of(self, text: str) -> list[int]:
        """The ids of a text without start and end; ConesError for a character that the vocabulary lacks, which would
        be the same token as any other such one. CLIP's own vocabulary has every byte."""
        ids = self._encoded(text)
        if self._unknown is not None and self._unknown in ids:
            strange = [word for word in text.split() if self._unknown in self._encoded(word)]
            raise ConesError(
                "the text encoder's vocabulary cannot spell a word",
                where=f'"{text}"',
                found=", ".join(strange),
                next_step="say it in other letters under `texts` in the dataset's entry, or take a model that reads "
                "every letter, such as clip_vit_b16",
            )
        return ids

    def _encoded(self, text: str) -> list[int]:
        return self._tokenizer.encode(self._clean(text), add_special_tokens=False).ids


def clean(text: str) -> str:
    """Entities of HTML resolved twice, white space collapsed, lower case: as CLIP's texts in training.

    Of what ftfy repairs in OpenAI's code two things are done here, composed accents and straight quotes; text decoded
    with a wrong table stays as it is.
    """
    text = unicodedata.normalize("NFC", html.unescape(html.unescape(text))).translate(STRAIGHT)
    return " ".join(text.split()).lower()


def load_bpe_tokenizer(path: str | Path, context_length: int) -> ContextTokenizer:
    """From OpenAI's `bpe_simple_vocab_16e6.txt.gz`, or from a directory with `vocab.json` and `merges.txt`."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    path = Path(path)
    vocabulary, merges = _from_directory(path) if path.is_dir() else _from_merges(path)
    _refuse_other_vocabulary(vocabulary, path)
    try:
        model = models.BPE(vocabulary, merges, end_of_word_suffix=WORD_END)
    except Exception as error:  # tokenizers has no exception of its own for a merge of unknown pieces
        raise _not_clips(path, str(error)) from error
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PIECES), "removed", invert=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    return ContextTokenizer(tokenizer, start=START, end=END, context_length=context_length, clean=clean)


def load_word_piece_tokenizer(path: str | Path, context_length: int) -> ContextTokenizer:
    """From a list of word pieces, one a line: those of the nano models. [CLS] and [SEP] are start and end."""
    tokenizer = load_tokenizer(path)
    return ContextTokenizer(tokenizer, start="[CLS]", end="[SEP]", context_length=context_length, clean=html.unescape)


def _from_merges(path: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """OpenAI's file lists merges only: the entries are the bytes, the bytes at the end of a word, and what the first
    merges make, so many that all with start and end are 49,408."""
    from tokenizers import pre_tokenizers

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())  # by code point is the order of the published table
    count = BPE_ENTRIES - 2 * len(letters) - 2
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            lines = [line.rstrip("\n") for line in itertools.islice(file, 1, 1 + count)]  # the first names the version
    except FileNotFoundError:
        raise ConesError(
            "CLIP's vocabulary is missing",
            where=path,
            next_step="place bpe_simple_vocab_16e6.txt.gz of github.com/openai/CLIP there",
        ) from None
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise _not_clips(path, str(error)) from error
    merges = _pairs(lines, path)
    if len(merges) < count:
        raise _not_clips(path, f"{len(merges)} merges instead of {count} or more")
    entries = [*letters, *(letter + WORD_END for letter in letters), *map("".join, merges), START, END]
    return {entry: number for number, entry in enumerate(entries)}, merges


def _from_directory(path: Path) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """The same as transformers saves it."""
    try:
        vocabulary = json.loads((path / "vocab.json").read_text(encoding="utf-8"))
        lines = (path / "merges.txt").read_text(encoding="utf-8").splitlines()
    except FileNotFoundError as error:
        raise ConesError(
            "CLIP's vocabulary is missing",
            where=error.filename,
            next_step="complete the directory: the tokenizer needs vocab.json and merges.txt",
        ) from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise _not_clips(path, str(error)) from error
    return vocabulary, _pairs([line for line in lines if line and not line.startswith("#version")], path)


def _pairs(lines: list[str], path: Path) -> list[tuple[str, str]]:
    pairs = [tuple(line.split()) for line in lines]
    for line, pair in zip(lines, pairs):
        if len(pair) != 2:
            raise _not_clips(path, f'the line "{line[:40]}" where two pieces belong')
    return pairs


def _refuse_other_vocabulary(vocabulary: dict[str, int], path: Path) -> None:
    """Ids are rows of the released table of word vectors: an entry more or less would shift them."""
    known = {START: BPE_ENTRIES - 2, END: BPE_ENTRIES - 1}
    if not isinstance(vocabulary, dict) or len(vocabulary) != BPE_ENTRIES:
        raise _not_clips(path, f"{len(vocabulary)} entries instead of {BPE_ENTRIES}")
    for entry, number in known.items():
        if vocabulary.get(entry) != number:
            raise _not_clips(path, f"{entry} is entry {vocabulary.get(entry)} instead of {number}")


def _not_clips(path: Path, found: str) -> ConesError:
    return ConesError("not CLIP's vocabulary", where=path, found=found, next_step="fetch it again")
