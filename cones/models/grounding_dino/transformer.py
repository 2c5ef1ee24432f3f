"""Everything behind the heads, joined as in the published weights (docs/spec/grounding_dino.md, 1.2 to 1.5)."""

import torch
from torch import Tensor, nn

from cones.models.grounding_dino.decoder import Decoder
from cones.models.grounding_dino.encoder import Encoder, Rows
from cones.models.grounding_dino.geometry import image_codes
from cones.models.grounding_dino.selection import Proposals, select
from cones.models.layers.box_head import box_head
from cones.models.layers.levels import flatten_maps
from cones.models.layers.swin import Swin
from cones.models.layers.token_levels import Levels, spread_over_levels


class Transformer(nn.Module):
    """Named `model` in the published weights, which hold the text encoder there too; here it is built beside.

    maps     how many outputs of the backbone are used, counted from the coarsest
    queries  Q at most; `query_position_embeddings` is their content, one for each rank
    """

    def __init__(
        self,
        *,
        backbone: Swin,
        maps: int,
        projections: nn.ModuleList,
        encoder: Encoder,
        decoder: Decoder,
        class_head: nn.Module,
        text: int,
        width: int,
        queries: int,
    ):
        super().__init__()
        self.maps = maps
        self.backbone = nn.Module()  # two levels of names that the published weights have here
        self.backbone.conv_encoder = nn.Module()
        self.backbone.conv_encoder.model = backbone
        self.input_proj_vision = projections
        self.level_embed = nn.Parameter(torch.empty(len(projections), width))
        self.text_projection = nn.Linear(text, width)
        self.query_position_embeddings = nn.Embedding(queries, width)
        self.encoder, self.decoder = encoder, decoder
        self.enc_output = nn.Linear(width, width)
        self.enc_output_norm = nn.LayerNorm(width)
        self.encoder_output_class_embed = class_head
        self.encoder_output_bbox_embed = box_head(width)
        nn.init.normal_(self.level_embed)

    def image_maps(self, pixels: Tensor) -> list[Tensor]:
        """pixels (B, 3, H, W) -> maps of all levels (B, C, H_l, W_l): backbone levels, then coarser ones."""
        features = self.backbone.conv_encoder.model(pixels)[-self.maps :]
        maps = []
        for level, project in enumerate(self.input_proj_vision):
            source = features[level] if level < len(features) else features[-1] if level == len(features) else maps[-1]
            maps.append(project(source))
        return maps

    def encode(self, maps: list[Tensor], levels: Levels, hidden: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
        """maps[l] (B, C, H_l, W_l), hidden (B, L, D) -> memory (B, N, C), fused text (B, L, C)."""
        tokens, _ = flatten_maps(maps)
        codes = image_codes(levels, tokens.shape[-1]) + spread_over_levels(self.level_embed, levels.shapes)
        return self.encoder(tokens, codes, levels, self.text_projection(hidden), rows)

    def propose(self, memory: Tensor, levels: Levels, text: Tensor, mask: Tensor | None) -> Proposals:
        """The tokens that become queries, and what is said of them."""
        return select(
            memory,
            levels,
            text,
            mask,
            project=lambda tokens: self.enc_output_norm(self.enc_output(tokens)),
            class_head=self.encoder_output_class_embed,
            box_head=self.encoder_output_bbox_embed,
            count=self.query_position_embeddings.num_embeddings,
        )
