"""The sizes of the text encoders, and the project's own vocabulary. Imports nothing heavy: tables ask it."""

from dataclasses import dataclass
from pathlib import Path

NANO_VOCABULARY = Path(__file__).with_name("nano_vocab.txt")
BERT_VOCABULARY = Path("checkpoints/official/vocab.txt")  # fetched with the checkpoints


@dataclass(frozen=True)
class TextSizes:
    """A BERT: D = width; `inner` is the feed-forward width (also of the text layers in GLIP's head)."""

    vocabulary: int = 30522  # 0: the lines of the project's own vocabulary
    positions: int = 512
    width: int = 768
    layers: int = 12
    heads: int = 12
    inner: int = 3072
    dropout: float = 0.1

    @property
    def vocabulary_file(self) -> Path:
        return BERT_VOCABULARY if self.vocabulary else NANO_VOCABULARY


BERT_BASE = TextSizes()
NANO_TEXT = TextSizes(vocabulary=0, positions=256, width=64, layers=2, heads=4, inner=256, dropout=0.0)
