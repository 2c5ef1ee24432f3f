"""Which image tokens become queries: the most object-like of all, each with a box (docs/spec/uninext.md 8)."""

from dataclasses import dataclass

from torch import Tensor, nn

from cones.models.layers.proposals import best_tokens, proposal_boxes
from cones.models.layers.token_levels import Levels
from cones.runtime.devices import full_precision


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
