"""What an image encoder says of every position of a picture, for methods that answer pixel by pixel."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from cones.runtime.devices import to_device

PositionReading = Literal["attention", "values"]
"""attention  the last layer as it is: every position asks, as the one does that stands for the whole picture
values     that layer without its attention: each position keeps its own value (MaskCLIP, arXiv 2112.01071)"""
GridResize = Literal["bicubic", "bilinear", "none"]
"""How positional embeddings fit a grid of another size than the encoder was trained with; `none`: a reading that can
(a ResNet's attention pool) goes without them."""


@dataclass
class Positions:
    """B pictures of one size, as they come out of the last projection: not normalised.

    features  (B, H W, d), row by row
    grid      (H, W)
    pooled    (B, d) what stands for the whole picture, of the reading "attention"; else None
    keys      (B, H W, w) the last layer's keys behind its output projection, of the reading "values"; else None
    """

    features: Tensor
    grid: tuple[int, int]
    pooled: Tensor | None = None
    keys: Tensor | None = None

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, rows: slice | list[int] | Tensor) -> "Positions":
        parts = (self.features, self.pooled, self.keys)
        features, pooled, keys = (None if part is None else part[rows] for part in parts)
        return Positions(features, self.grid, pooled, keys)

    @classmethod
    def joined(cls, parts: Sequence["Positions"]) -> "Positions":
        """Of pictures of one size, those of all parts."""

        def together(name: str) -> Tensor | None:
            values = [getattr(part, name) for part in parts]
            return None if values[0] is None else torch.cat(values)

        return cls(together("features"), parts[0].grid, together("pooled"), together("keys"))

    def to(self, device: torch.device) -> "Positions":
        parts = (self.features, self.pooled, self.keys)
        features, pooled, keys = (None if part is None else to_device(part, device) for part in parts)
        return Positions(features, self.grid, pooled, keys)

    def as_map(self, rows: Tensor) -> Tensor:
        """Something of every position (B, H W, c) -> (B, c, H, W)."""
        return rows.transpose(1, 2).unflatten(2, self.grid)
