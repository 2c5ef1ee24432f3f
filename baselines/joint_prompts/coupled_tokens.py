"""MaPLe inside a detector: text vectors at several depths, and the tokens that linear maps make of them (maple.py)."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from cones.methods.drawn_layers import linear
from cones.methods.method import PromptInputs
from cones.methods.prompts import Prompt, PromptContext, SoftCaption
from cones.models.detector import GroundedDetector
from cones.models.language import LanguageFeatures

SHARE = 3 / 4  # of the blocks of each encoder that have prompts: 9 of 12, as published
DEEP_STD = 0.02


class TextVectors(nn.Module):
    """N vectors (N, D) of one depth of the text encoder."""

    def __init__(self, vectors: Tensor):
        super().__init__()
        self.vectors = nn.Parameter(vectors)


class CoupledTokens(nn.Module):
    """Inputs of a block of the image encoder -> the same with the tokens that `coupling` makes of the text vectors.

    Blocks of one width share a coupling, those of one depth the text vectors.
    """

    def __init__(self, source: TextVectors, coupling: nn.Linear):
        super().__init__()
        self.source, self.coupling = source, coupling

    def forward(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        return rows, self.coupling(self.source.vectors)


class CoupledCaption(Prompt):
    """The caption of CoOp whose vectors, of the input and of later layers, are held by the detector."""

    def __init__(self, caption: SoftCaption, sources: list[TextVectors]):
        super().__init__()
        self.caption, self.sources = caption, tuple(sources)  # a tuple: they are no part of this module
        caption.vectors = None

    def forward(self, context: PromptContext) -> LanguageFeatures:
        first, *deep = (source.vectors[None] for source in self.sources)  # (1, N, D) each
        return self.caption.with_vectors(first[None], dict(enumerate(deep, start=1)))


def coupled_tokens(model: GroundedDetector, prompt_inputs: PromptInputs) -> Iterator[tuple[str, CoupledTokens]]:
    """(block, its tokens) of the first three quarters of the image encoder's blocks; their sources are as many as three
    quarters of the text encoder's layers, in order, each for as many blocks as its share."""
    generator, widths = prompt_inputs.generator, list(model.image_blocks.widths.items())
    depths, blocks = max(1, round(SHARE * model.text_layers)), max(1, round(SHARE * len(widths)))
    shape, first = (prompt_inputs.settings.tokens_per_class, model.text_width), prompt_inputs.start_std or 0.0
    spreads = [first, *[DEEP_STD] * (depths - 1)]
    sources = [TextVectors(std * torch.randn(shape, generator=generator)) for std in spreads]
    couplings: dict[int, nn.Linear] = {}
    for index, (place, width) in enumerate(widths[:blocks]):
        if width not in couplings:
            couplings[width] = linear(model.text_width, width, generator=generator)
        yield place, CoupledTokens(sources[index * depths // blocks], couplings[width])


def sources_of(model: GroundedDetector, name: str) -> list[TextVectors]:
    """The text vectors behind the additions `name`, depth by depth."""
    added = (model.get_submodule(place) for place in model.image_blocks.widths)
    return list(dict.fromkeys(getattr(block, name).source for block in added if hasattr(block, name)))
