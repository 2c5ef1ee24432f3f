"""Which image tokens become queries: those that fit some row of the text best (docs/spec/grounding_dino.md, 1.5)."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from cones.models.grounding_dino.decoder import QueryOutput
from cones.models.layers.proposals import best_tokens, proposal_boxes
from cones.models.layers.token_levels import Levels
from cones.runtime.devices import full_precision


@dataclass
class Proposals:
    """chosen (B, Q) int64 tokens, best first; output: what is said of them; reference (B, Q, 4), without gradient."""

    chosen: Tensor
    output: QueryOutput

    @property
    def reference(self) -> Tensor:
        return self.output.boxes.detach()


def select(
    memory: Tensor,
    levels: Levels,
    text: Tensor,
    mask: Tensor | None,
    *,
    project: nn.Module,
    class_head: nn.Module,
    box_head: nn.Module,
    count: int,
) -> Proposals:
    """memory (B, N, C), fused text (B, L, C), mask (B, L) bool or None -> the best min(count, N) tokens.

    A token scores as its best row does: [CLS], [SEP] and "." count. The box head runs for the chosen alone.
    """
    places = proposal_boxes(levels)  # (B, N, 4) in logit space
    tokens = project(memory.masked_fill(places[..., :1].isinf(), 0.0))  # (B, N, C)
    with torch.no_grad():
        logits = class_head(tokens, text)  # (B, N, L)
        if mask is not None:
            logits = logits.masked_fill(~mask[:, None], -torch.inf)
        chosen = best_tokens(logits.amax(dim=-1), count)  # (B, Q)

    def gather(x: Tensor) -> Tensor:
        return x.gather(1, chosen[..., None].expand(-1, -1, x.shape[-1]))

    tokens = gather(tokens)  # (B, Q, C)
    boxes = (full_precision(box_head(tokens)) + gather(places)).sigmoid()  # (B, Q, 4)
    return Proposals(chosen, QueryOutput(class_head(tokens, text), boxes))
