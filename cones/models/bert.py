"""The text encoder that goes with a detector: sizes -> BERT."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from cones.models.text_encoder import TextEncoder

NANO_VOCABULARY = Path(__file__).with_name("nano_vocab.txt")


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


BERT_BASE = TextSizes()
NANO_TEXT = TextSizes(vocabulary=0, positions=256, width=64, layers=2, heads=4, inner=256, dropout=0.0)


def build_bert(sizes: TextSizes, *, narrow: bool) -> TextEncoder:
    """A fresh BERT; `narrow`: start weights by fan-in, as the nano models need them."""
    encoder = TextEncoder(
        vocabulary=sizes.vocabulary or len(NANO_VOCABULARY.read_text(encoding="utf-8").splitlines()),
        positions=sizes.positions,
        width=sizes.width,
        layers=sizes.layers,
        heads=sizes.heads,
        inner=sizes.inner,
        dropout=sizes.dropout,
    )
    return encoder.apply(start_by_fan_in) if narrow else encoder


def start_by_fan_in(module: nn.Module) -> None:
    """Linear weights whose outputs are about as large as their inputs, whatever the width."""
    if isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, std=0.6 * module.in_features**-0.5)
