"""Hand-written texts through the frozen text encoder, which every method may ask for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from torch import Tensor

from cones.models.dual_encoder import DualEncoder


class FrozenTexts:
    """Texts through the frozen text encoder, which is built when a text is asked for: `texts(list) -> (n, d)`.

    `truncate` cuts texts that are too long for it, which are refused without.
    """

    def __init__(self, load: Callable[[], DualEncoder], tokenizer: Callable[[], object], device: torch.device):
        self._load, self._tokenizer, self.device = load, tokenizer, device
        self.was_built = False

    @cached_property
    def _parts(self) -> tuple[DualEncoder, object]:
        self.was_built = True
        return self._load(), self._tokenizer()

    @torch.no_grad()
    def __call__(self, texts: Sequence[str], *, truncate: bool = False) -> Tensor:
        encoder, tokenizer = self._parts
        ids, ends = tokenizer(list(texts), truncate=truncate)
        parts = []
        for at in range(0, len(ids), 256):
            part, end = ids[at : at + 256].to(self.device), ends[at : at + 256].to(self.device)
            parts.append(encoder.encode_text(encoder.embed_text(part), end).float())
        return torch.cat(parts)
