"""Sizes -> modules: the one place where a `GroundingDINOSizes` is read."""

from torch import nn

from cones.models.detector import Preprocessing
from cones.models.grounding_dino.config import SIZES, GroundingDINOSizes
from cones.models.grounding_dino.decoder import Decoder, DecoderLayer
from cones.models.grounding_dino.detector import GroundingDINO
from cones.models.grounding_dino.encoder import DeformableLayer, Encoder, EncoderLayer, TextEnhancer
from cones.models.grounding_dino.heads import Contrast
from cones.models.grounding_dino.transformer import Transformer
from cones.models.layers.bert import build_bert, start_by_fan_in
from cones.models.layers.box_head import MLP, box_head
from cones.models.layers.deformable_attention import DeformableAttention
from cones.models.layers.fusion import BiAttention, VLFuse
from cones.models.layers.projections import build_projections
from cones.models.layers.swin import DropPath, Swin
from cones.models.text_encoder import TextEncoder

MEAN_RGB, STD_RGB = (123.675, 116.280, 103.530), (58.395, 57.120, 57.375)


def build_grounding_dino(name: str) -> GroundingDINO:
    """A member of the family of the named size with fresh parameters, in train mode as every new module."""
    return build_of_sizes(SIZES[name])


def build_of_sizes(sizes: GroundingDINOSizes) -> GroundingDINO:
    """The same of any sizes. No dropout: the authors train without, whatever the published configurations say."""
    detector = GroundingDINO(
        transformer=build_transformer(sizes),
        class_heads=[Contrast(is_scaled=sizes.scaled_contrast) for _ in range(sizes.decoder_layers)],
        box_heads=[box_head(sizes.width) for _ in range(sizes.decoder_layers if sizes.separate_box_heads else 1)],
        text_width=sizes.text.width,
        text_layers=sizes.text.layers,
        cost=sizes.cost,
        loss=sizes.loss,
        preprocessing=Preprocessing(
            short_side=sizes.short_side,
            long_side_cap=sizes.long_side_cap,
            mean=MEAN_RGB,
            std=STD_RGB,
            bgr=False,
            size_divisor=1,
        ),
    )
    return start_narrow(detector) if sizes.narrow else detector


def build_grounding_dino_text_encoder(name: str) -> TextEncoder:
    """The BERT that goes with the named member."""
    return build_bert(SIZES[name].text, narrow=SIZES[name].narrow)


def build_transformer(sizes: GroundingDINOSizes) -> Transformer:
    swin = Swin(
        embed=sizes.embed,
        depths=sizes.depths,
        heads=sizes.swin_heads,
        window=sizes.window,
        drop_path=sizes.drop_path,
        first_normed=len(sizes.depths) - sizes.maps,
    )
    decoder = [
        DecoderLayer(attention=build_deformable(sizes), width=sizes.width, heads=sizes.heads, inner=sizes.inner)
        for _ in range(sizes.decoder_layers)
    ]
    own = [sizes.embed * 2**stage for stage in range(len(sizes.depths))][-sizes.maps :]
    return Transformer(
        backbone=swin,
        maps=sizes.maps,
        projections=build_projections(own, width=sizes.width, levels=sizes.levels, groups=sizes.groups),
        encoder=Encoder(layers=[build_encoder_layer(sizes) for _ in range(sizes.encoder_layers)]),
        decoder=Decoder(layers=decoder, width=sizes.width),
        class_head=Contrast(is_scaled=sizes.scaled_contrast),
        text=sizes.text.width,
        width=sizes.width,
        queries=sizes.queries,
    )


def build_encoder_layer(sizes: GroundingDINOSizes) -> EncoderLayer:
    width = sizes.width
    attention = BiAttention(visual=width, text=width, inner=sizes.fusion_inner, heads=sizes.fusion_heads, dropout=0.0)
    return EncoderLayer(
        fusion=VLFuse(
            attention=attention,
            visual=width,
            text=width,
            gamma=sizes.fusion_gain,
            drop_path=DropPath(sizes.fusion_drop_path),
        ),
        text=TextEnhancer(width=width, heads=sizes.fusion_heads, inner=sizes.fusion_inner),
        image=DeformableLayer(attention=build_deformable(sizes), width=width, inner=sizes.inner),
    )


def build_deformable(sizes: GroundingDINOSizes) -> DeformableAttention:
    return DeformableAttention(width=sizes.width, heads=sizes.heads, levels=sizes.levels, points=sizes.points)


def start_narrow(detector: GroundingDINO) -> GroundingDINO:
    """Weights by fan-in; what has a start of its own keeps it: sampling offsets, and box heads that change nothing."""
    detector.apply(start_by_fan_in)
    box_heads = {*detector.bbox_embed, detector.model.encoder_output_bbox_embed}
    for module in detector.modules():
        if isinstance(module, DeformableAttention):
            module.start()
        elif isinstance(module, MLP) and module in box_heads:
            nn.init.zeros_(module.layers[-1].weight)
    return detector
