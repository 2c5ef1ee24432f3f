"""How well vectors of the image fit the rows of the fused text (docs/spec/grounding_dino.md, 1.5 and 1.7)."""

import math

import torch
from torch import Tensor, nn

START_BIAS = -math.log(99)  # at first every row of every query has a probability of about 1 %


class Contrast(nn.Module):
    """Dot products; `is_scaled`: divided by sqrt(C), plus a bias that is learnt (MM-Grounding-DINO and LLMDet).

    Rows outside the mask have logits too, which nobody may read.
    """

    def __init__(self, *, is_scaled: bool):
        super().__init__()
        self.bias = nn.Parameter(torch.tensor(START_BIAS)) if is_scaled else None

    def forward(self, visual: Tensor, text: Tensor) -> Tensor:
        """visual (B, Q, C), fused text (B, L, C) -> logits (B, Q, L)."""
        logits = visual @ text.transpose(1, 2)
        return logits if self.bias is None else logits / math.sqrt(visual.shape[-1]) + self.bias
