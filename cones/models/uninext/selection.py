"""Which image tokens become queries: the most object-like of all, each with a box (docs/spec/uninext.md 8)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cones.models.uninext.geometry import Levels, grid
from cones.runtime.devices import full_precision

SMALLEST_SIDE = 0.05  # of a proposal on the finest level, in shares of the image; doubles from level to level
MARGIN = 0.01


@dataclass
class Proposals:
    """Every token as a candidate: logits (B, N) and boxes (B, N, 4) in logit space; infinite where invalid.

    chosen      (B, Q) int64 tokens, best first
    reference   (B, Q, 4) the boxes of the chosen ones, cx, cy, w, h in shares of the image
    """

    logits: Tensor
    boxes: Tensor
    chosen: Tensor
    reference: Tensor


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


def select(
    memory: Tensor, levels: Levels, *, project: nn.Module, objectness: nn.Module, box_head: nn.Module, count: int
) -> Proposals:
    """memory (B, N, C) -> the best `count` tokens; gradients flow through the boxes (docs/spec/uninext.md 16.6)."""
    proposals = proposal_boxes(levels)  # (B, N, 4)
    invalid = proposals[..., :1].isinf()
    tokens = project(memory.masked_fill(invalid, 0.0))  # (B, N, C)
    logits = objectness(tokens)  # (B, N)
    boxes = full_precision(box_head(tokens)) + proposals  # (B, N, 4)
    chosen = best_tokens(logits.detach(), count)  # (B, Q)
    reference = boxes.gather(1, chosen[..., None].expand(-1, -1, 4)).sigmoid()  # (B, Q, 4)
    return Proposals(logits, boxes, chosen, reference)
