"""Encoder, query selection and decoder, as the official checkpoints join them (docs/spec/uninext.md 6 to 9)."""

import torch
from torch import Tensor, nn

from cones.models.layers.levels import flatten_maps
from cones.models.layers.token_levels import Levels, spread_over_levels
from cones.models.uninext.decoder import Decoder, LayerOutput, QueryHeads
from cones.models.uninext.denoising import Denoising
from cones.models.uninext.encoder import Encoder
from cones.models.uninext.geometry import image_codes
from cones.models.uninext.heads import Resizer
from cones.models.uninext.selection import Proposals, select


class Transformer(nn.Module):
    """`tgt_embed` holds the content of the Q queries, one for each rank; `resizer` is dead weight of the checkpoints
    (its result is multiplied by zero there) and is kept because the paper counts it."""

    def __init__(self, *, encoder: Encoder, decoder: Decoder, width: int, text: int, levels: int, queries: int):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder
        self.level_embed = nn.Parameter(torch.empty(levels, width))
        self.tgt_embed = nn.Embedding(queries, width)
        self.enc_output = nn.Linear(width, width)
        self.enc_output_norm = nn.LayerNorm(width)
        self.resizer = Resizer(text=text, visual=width)
        nn.init.normal_(self.level_embed)

    def encode(self, maps: list[Tensor], levels: Levels, hidden: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        """maps[l] (B, C, H_l, W_l), hidden (B, L, D), mask (B, L) bool or None -> memory (B, N, C), fused text."""
        tokens, _ = flatten_maps(maps)
        positions = image_codes(levels, tokens.shape[-1]) + spread_over_levels(self.level_embed, levels.shapes)
        return self.encoder(tokens, positions, levels, levels.padding_if_any, hidden, mask)

    def propose(self, memory: Tensor, levels: Levels, *, objectness: nn.Module, box_head: nn.Module) -> Proposals:
        """memory (B, N, C) -> every token as a candidate, and the best of them."""
        return select(
            memory,
            levels,
            project=lambda tokens: self.enc_output_norm(self.enc_output(tokens)),
            objectness=objectness,
            box_head=box_head,
            count=self.tgt_embed.num_embeddings,
        )

    def decode(
        self,
        proposals: Proposals,
        denoising: Denoising | None,
        memory: Tensor,
        text: Tensor,
        levels: Levels,
        heads: QueryHeads,
    ) -> list[LayerOutput]:
        """One output per layer; denoising queries come before the real ones."""
        reference = proposals.reference  # (B, Q, 4)
        queries = self.tgt_embed.weight[: reference.shape[1]].expand(len(reference), -1, -1)  # (B, Q, C)
        hidden_pairs = None
        if denoising is not None:
            queries = torch.cat([denoising.content, queries], dim=1)
            reference = torch.cat([denoising.boxes.sigmoid(), reference], dim=1)
            hidden_pairs = denoising.hidden_pairs
        return self.decoder(queries, reference, memory, text, levels, hidden_pairs, heads)
