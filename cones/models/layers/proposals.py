"""Image tokens as proposals: the box that each stands for, and which are the best."""

import torch
from torch import Tensor

from cones.models.layers.token_levels import Levels, grid

SMALLEST_SIDE = 0.05  # of a proposal on the finest level, in shares of the image; doubles from level to level
MARGIN = 0.01


def proposal_boxes(levels: Levels) -> Tensor:
    """(B, N, 4) cx, cy, w, h in logit space; infinite for padded tokens and for boxes at the border of the image."""
    boxes = []
    for level, (height, width) in enumerate(levels.shapes):
        valid = ~levels.masks[level]  # (B, H, W)
        size = torch.stack([valid[:, 0].sum(dim=1), valid[:, :, 0].sum(dim=1)], dim=-1)  # (B, 2) valid W, H
        cells = grid(height, width, valid.device).view(1, -1, 2) + 0.5  # (1, H * W, 2)
        centre = cells / size[:, None]  # (B, H * W, 2)
        side = torch.full_like(centre, SMALLEST_SIDE * 2**level)
        boxes.append(torch.cat([centre, side], dim=-1))
    boxes = torch.cat(boxes, dim=1)  # (B, N, 4)
    inside = ((boxes > MARGIN) & (boxes < 1 - MARGIN)).all(dim=-1) & ~levels.padding
    return torch.log(boxes / (1 - boxes)).masked_fill(~inside[..., None], torch.inf)


def best_tokens(logits: Tensor, count: int) -> Tensor:
    """logits (B, N) -> (B, Q) int64, best first. Rank matters: query k has a content of its own."""
    return logits.topk(min(count, logits.shape[1]), dim=1).indices
