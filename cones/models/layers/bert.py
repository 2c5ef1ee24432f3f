"""The text encoder that goes with a detector: sizes -> BERT."""

from torch import nn

from cones.models.text_encoder import TextEncoder
from cones.models.text_sizes import NANO_VOCABULARY, TextSizes


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
