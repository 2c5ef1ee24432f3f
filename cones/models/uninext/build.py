"""Sizes -> modules: the one place where a `UNINEXTSizes` is read."""

from cones.models.detector import Preprocessing
from cones.models.layers.bert import build_bert
from cones.models.layers.deformable_attention import DeformableAttention
from cones.models.layers.fusion import BiAttention, VLFuse
from cones.models.layers.projections import build_projections
from cones.models.text_encoder import TextEncoder
from cones.models.uninext.config import SIZES, STRIDE, UNINEXTSizes
from cones.models.uninext.decoder import Decoder, DecoderLayer
from cones.models.uninext.detector import UNINEXT
from cones.models.uninext.encoder import Encoder, EncoderLayer
from cones.models.uninext.heads import AlignmentHead
from cones.models.uninext.masks import MaskFeatures
from cones.models.uninext.resnet import ResNet
from cones.models.uninext.transformer import Transformer

MEAN_RGB, STD_RGB = (123.675, 116.280, 103.530), (58.395, 57.120, 57.375)
FREEZABLE = tuple(f"detr.detr.backbone.0.backbone.{part}." for part in ("stem", "res2", "res3", "res4", "res5"))


def build_uninext(name: str) -> UNINEXT:
    """A UNINEXT of the named size with fresh parameters, in train mode as every new module; see `SIZES`."""
    sizes = SIZES[name]
    return UNINEXT(
        backbone=ResNet(stem=sizes.stem, depths=sizes.depths, middles=sizes.middles, widths=sizes.widths),
        projections=build_projections(
            sizes.widths[1:],  # of res3, res4, res5
            width=sizes.width,
            levels=sizes.levels,
            groups=sizes.groups,
        ),
        transformer=build_transformer(sizes),
        class_heads=[
            AlignmentHead(visual=sizes.width, text=sizes.text.width, log_scale=sizes.log_scale)
            for _ in range(sizes.decoder_layers)
        ],
        mask_features=MaskFeatures(width=sizes.width, middle=sizes.mask_middle),
        width=sizes.width,
        text_width=sizes.text.width,
        text_layers=sizes.text.layers,
        stride=STRIDE,
        denoising=sizes.denoising,
        preprocessing=Preprocessing(
            short_side=sizes.short_side,
            long_side_cap=sizes.long_side_cap,
            mean=MEAN_RGB,
            std=STD_RGB,
            bgr=False,
            pads_at_test=False,
        ),
        always_frozen=FREEZABLE[: sizes.frozen_stages],
    )


def build_transformer(sizes: UNINEXTSizes) -> Transformer:
    attention = BiAttention(
        visual=sizes.width,
        text=sizes.text.width,
        inner=sizes.fusion_inner,
        heads=sizes.fusion_heads,
        dropout=sizes.dropout,
    )
    fusion = VLFuse(attention=attention, visual=sizes.width, text=sizes.text.width, gamma=sizes.fusion_gamma)
    encoder = [
        EncoderLayer(attention=build_deformable(sizes), width=sizes.width, inner=sizes.inner)
        for _ in range(sizes.encoder_layers)
    ]
    decoder = [
        DecoderLayer(attention=build_deformable(sizes), width=sizes.width, heads=sizes.heads, inner=sizes.inner)
        for _ in range(sizes.decoder_layers)
    ]
    return Transformer(
        encoder=Encoder(fusion=fusion, layers=encoder),
        decoder=Decoder(layers=decoder, width=sizes.width),
        width=sizes.width,
        text=sizes.text.width,
        levels=sizes.levels,
        queries=sizes.queries,
    )


def build_deformable(sizes: UNINEXTSizes) -> DeformableAttention:
    return DeformableAttention(width=sizes.width, heads=sizes.heads, levels=sizes.levels, points=sizes.points)


def build_uninext_text_encoder(name: str) -> TextEncoder:
    """The BERT that goes with the named UNINEXT."""
    return build_bert(SIZES[name].text, narrow=SIZES[name].narrow)
