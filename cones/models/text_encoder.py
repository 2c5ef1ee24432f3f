"""BERT from our own layers, with the parameter names of `transformers.BertModel`; WordPiece through `tokenizers`."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cones.models.caption_style import CaptionStyle
from cones.models.language import phrase_pairs, phrase_places, phrases_of
from cones.runtime.errors import ConesError


class SelfAttention(nn.Module):
    """Multi-head self-attention over text; `limit` clamps the scores to +-limit (docs/spec/glip.md 6.2)."""

    def __init__(self, *, width: int, heads: int, dropout: float, limit: float | None = None):
        super().__init__()
        self.heads, self.limit = heads, limit
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """hidden (B, L, D) -> (B, L, D).

        mask (B, L) bool, which positions are attended to; (B, L, L) bool, which by each; None: all by all.
        """
        batch, length, width = hidden.shape

        def split(x: Tensor) -> Tensor:
            return x.view(batch, length, self.heads, -1).transpose(1, 2)  # (B, heads, L, D / heads)

        query, key, value = split(self.query(hidden)), split(self.key(hidden)), split(self.value(hidden))
        scores = query @ key.transpose(-1, -2) * (width // self.heads) ** -0.5  # (B, heads, L, L)
        if self.limit is not None:
            scores = scores.clamp(-self.limit, self.limit)
        if mask is not None:
            attended = mask[:, None, None, :] if mask.ndim == 2 else mask[:, None]  # (B, 1, 1 or L, L)
            scores = scores.masked_fill(~attended, torch.finfo(scores.dtype).min)
        context = self.dropout(scores.softmax(dim=-1)) @ value  # (B, heads, L, D / heads)
        return context.transpose(1, 2).reshape(batch, length, width)  # (B, L, D)


class ResidualOutput(nn.Module):
    """LayerNorm(residual + dropout(dense(x))); `limit` clamps both sides of the norm."""

    def __init__(self, *, inner: int, width: int, dropout: float, eps: float, limit: float | None = None):
        super().__init__()
        self.limit = limit
        self.dense = nn.Linear(inner, width)
        self.LayerNorm = nn.LayerNorm(width, eps=eps)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, residual: Tensor) -> Tensor:
        summed = self.dropout(self.dense(x)) + residual
        if self.limit is None:
            return self.LayerNorm(summed)
        return self.LayerNorm(summed.clamp(-self.limit, self.limit)).clamp(-self.limit, self.limit)


class BertLayer(nn.Module):
    """One post-norm encoder layer (docs/spec/glip.md 3 and 6.2): attention, then feed-forward with exact GELU.

    `limit` switches on the clamps to +-limit that GLIP's text layer has and BERT has not; they matter in half
    precision only. Parameter names are those of `transformers.BertLayer`.
    """

    def __init__(
        self, *, width: int, heads: int, inner: int, dropout: float, eps: float = 1e-12, limit: float | None = None
    ):
        super().__init__()
        self.limit = limit
        self.attention = nn.ModuleDict(
            {
                "self": SelfAttention(width=width, heads=heads, dropout=dropout, limit=limit),
                "output": ResidualOutput(inner=width, width=width, dropout=dropout, eps=eps),
            }
        )
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(width, inner)})
        self.output = ResidualOutput(inner=inner, width=width, dropout=dropout, eps=eps, limit=limit)

    def forward(self, hidden: Tensor, mask: Tensor | None) -> Tensor:
        """hidden (B, L, D), mask as in `SelfAttention` -> (B, L, D)."""
        attended = self.attention["output"](self.attention["self"](hidden, mask), hidden)
        inner = self.intermediate["dense"](attended)  # (B, L, inner)
        if self.limit is not None:
            inner = F.gelu(inner.clamp(-self.limit, self.limit)).clamp(-self.limit, self.limit)
        else:
            inner = F.gelu(inner)
        return self.output(inner, attended)


class BertEmbeddings(nn.Module):
    """Word vectors (looked up, or given) + positions + token type 0, then LayerNorm and dropout."""

    def __init__(self, *, vocabulary: int, positions: int, types: int, width: int, dropout: float, eps: float):
        super().__init__()
        self.word_embeddings = nn.Embedding(vocabulary, width, padding_idx=0)
        self.position_embeddings = nn.Embedding(positions, width)
        self.token_type_embeddings = nn.Embedding(types, width)
        self.LayerNorm = nn.LayerNorm(width, eps=eps)
        self.dropout = nn.Dropout(dropout)

    def forward(self, words: Tensor, places: Tensor | None = None) -> Tensor:
        """words (B, L, D), places (B, L) int64 or None for 0, 1, 2 … -> (B, L, D)."""
        if places is None:
            positions = self.position_embeddings.weight[: words.shape[1]]  # (L, D)
        else:
            positions = self.position_embeddings(places)  # (B, L, D)
        return self.dropout(self.LayerNorm(words + self.token_type_embeddings.weight[0] + positions))


@dataclass
class DeepRows:
    """Rows of a text that learned vectors replace before later layers.

    places    (R,) int64 positions in the text
    by_layer  {layer: (R, D)}: what stands there when that layer begins, whatever the layer before it left
    """

    places: Tensor
    by_layer: Mapping[int, Tensor]

    def before(self, layer: int, hidden: Tensor) -> Tensor:
        """hidden (B, L, D) -> the same with the rows of this layer, if it has any."""
        if layer not in self.by_layer:
            return hidden
        rows = self.by_layer[layer].to(hidden.dtype).expand(len(hidden), -1, -1)
        return hidden.index_copy(1, self.places, rows)


class TextEncoder(nn.Module):
    """BERT without pooler: word-piece ids, or vectors in their place, -> last hidden state (docs/spec/glip.md 3).

    width          D
    max_positions  longest text the position embeddings reach
    """

    def __init__(
        self,
        *,
        vocabulary: int,
        positions: int,
        width: int,
        layers: int,
        heads: int,
        inner: int,
        dropout: float = 0.1,
        types: int = 2,
        eps: float = 1e-12,
    ):
        super().__init__()
        self.width, self.max_positions = width, positions
        self.embeddings = BertEmbeddings(
            vocabulary=vocabulary, positions=positions, types=types, width=width, dropout=dropout, eps=eps
        )
        stack = [BertLayer(width=width, heads=heads, inner=inner, dropout=dropout, eps=eps) for _ in range(layers)]
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(stack)})
        self.apply(initialise_bert)

    @property
    def word_embeddings(self) -> nn.Embedding:
        """The input word vectors (vocabulary, D); prompt tuning and textual inversion put theirs beside or instead."""
        return self.embeddings.word_embeddings

    def forward(
        self,
        *,
        input_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        mask: Tensor | None = None,
        phrases: Tensor | None = None,
        deep: DeepRows | None = None,
    ) -> Tensor:
        """input_ids (B, L) or inputs_embeds (B, L, D), mask (B, L) bool (None: all valid) -> hidden states (B, L, D).

        `inputs_embeds` stand where looked-up word vectors would: position and type embeddings and the first LayerNorm
        still apply. Rows outside the mask hold numbers that no valid row depends on. With `phrases` (B, L), as in
        `LanguageFeatures`, each phrase is read alone and its positions are counted from 0; padding is no part of any.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("give either input_ids or inputs_embeds")
        words = self.word_embeddings(input_ids) if inputs_embeds is None else inputs_embeds
        if words.shape[1] > self.max_positions:
            raise ConesError(
                "the text is too long for the text encoder",
                expected=f"at most {self.max_positions} word pieces and vectors",
                found=words.shape[1],
                next_step="fewer tokens_per_class, or shorter prompts of this dataset in the registry",
            )
        places = None
        if phrases is not None:
            mask, places = phrase_pairs(phrases), phrase_places(phrases)  # (B, L, L), (B, L)
        hidden = self.embeddings(words, places)
        for index, layer in enumerate(self.encoder["layer"]):
            hidden = layer(hidden if deep is None else deep.before(index, hidden), mask)
        return hidden


def initialise_bert(module: nn.Module) -> None:
    """BERT's own start: N(0, 0.02) matrices and tables, zero biases; `module.apply(initialise_bert)`."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)


class CaptionTokenizer:
    """WordPiece and the `CaptionStyle` of a family: what a prompt needs to write a caption.

    delimiters  the ids of the style's delimiters; one that the vocabulary lacks closes nothing
    """

    def __init__(self, tokenizer, style: CaptionStyle):
        self.tokenizer, self.style = tokenizer, style
        ids = [tokenizer.token_to_id(piece) for piece in style.delimiters]
        self.delimiters = tuple(each for each in ids if each is not None)

    def encode(self, text: str, *, add_special_tokens: bool = True):
        """A `tokenizers.Encoding`."""
        return self.tokenizer.encode(text, add_special_tokens=add_special_tokens)

    def decode(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids)

    def token_to_id(self, piece: str) -> int | None:
        return self.tokenizer.token_to_id(piece)

    def get_vocab_size(self) -> int:
        return self.tokenizer.get_vocab_size()

    def phrases_of(self, ids: Tensor) -> Tensor | None:
        """ids (B, L) -> (B, L) int64, as in `LanguageFeatures`; None for a family that reads the caption as one text.

        A position that holds a learnt vector has an id that is no word piece's, such as -1.
        """
        return phrases_of(ids, self.delimiters) if self.delimiters else None

    def divides(self, text: str) -> bool:
        """Whether a class said so would be read as several phrases: it has a delimiter inside."""
        return not set(self.delimiters).isdisjoint(self.encode(text, add_special_tokens=False).ids)


def load_tokenizer(vocabulary_path: str | Path):
    """A `tokenizers.Tokenizer` in the manner of bert-base-uncased from a vocabulary file (one piece per line).

    Lower-cased, accents stripped, [CLS] … [SEP] added, offsets kept, neither padding nor truncation.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    try:
        pieces = Path(vocabulary_path).read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise ConesError(
            "the vocabulary of the text encoder is missing",
            where=vocabulary_path,
            next_step="put the vocab.txt of the text encoder there (that of bert-base-uncased)",
        ) from None
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    if missing := [piece for piece in ("[UNK]", "[CLS]", "[SEP]") if piece not in vocabulary]:
        raise ConesError(
            "not a WordPiece vocabulary",
            where=vocabulary_path,
            found=f"no {', '.join(missing)}",
            next_step="fetch it again",
        )
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens([p for p in ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]") if p in vocabulary])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(piece, vocabulary[piece]) for piece in ("[CLS]", "[SEP]")]
    )
    return tokenizer
