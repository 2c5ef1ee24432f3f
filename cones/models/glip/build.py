"""Sizes -> modules: the one place where a `GLIPSizes` is read."""

from torch import nn

from cones.models.detector import Preprocessing
from cones.models.glip.anchors import AnchorGenerator
from cones.models.glip.config import SIZES, STRIDES, GLIPSizes
from cones.models.glip.detector import GLIP
from cones.models.glip.dyconv import DeformableConv, DyConv
from cones.models.glip.fpn import FPN, Backbone
from cones.models.glip.head import DyHead
from cones.models.layers import bert
from cones.models.layers.bert import build_bert
from cones.models.layers.fusion import SCORE_LIMIT, BiAttention, VLFuse
from cones.models.layers.swin import Swin
from cones.models.text_encoder import BertLayer, TextEncoder, initialise_bert

MEAN_BGR, STD_BGR = (103.530, 116.280, 123.675), (57.375, 57.120, 58.395)
FREEZABLE = ("backbone.body.patch_embed.", *(f"backbone.body.layers.{stage}." for stage in range(4)))


def build_glip(name: str) -> GLIP:
    """A GLIP of the named size with fresh parameters, in train mode as every new module; see `SIZES`."""
    sizes = SIZES[name]
    swin = Swin(
        embed=sizes.embed,
        depths=sizes.depths,
        heads=sizes.heads,
        window=sizes.window,
        drop_path=sizes.drop_path,
        frozen_stages=sizes.frozen_stages,
    )
    fpn = FPN(
        widths=[sizes.embed * 2**stage for stage in (1, 2, 3)], out_width=sizes.width, drop_block=sizes.drop_block
    )
    tower = [layer for _ in range(sizes.blocks) for layer in build_block(sizes)]
    head = DyHead(
        tower=tower,
        visual=sizes.width,
        text=sizes.text.width,
        levels=len(STRIDES),
        box_scale=sizes.box_scale,
        log_scale=sizes.log_scale,
    )
    detector = GLIP(
        backbone=Backbone(body=swin, fpn=fpn),
        head=head,
        anchor_generator=AnchorGenerator(strides=STRIDES, scale=sizes.anchor_scale),
        text_width=sizes.text.width,
        text_layers=sizes.text.layers,
        preprocessing=Preprocessing(
            short_side=sizes.short_side, long_side_cap=sizes.long_side_cap, mean=MEAN_BGR, std=STD_BGR
        ),
        always_frozen=(*FREEZABLE[: sizes.frozen_stages], "rpn.head.cls_logits.") if sizes.frozen_stages else (),
    )
    return detector.apply(start_by_fan_in) if sizes.narrow else detector


def start_by_fan_in(module: nn.Module) -> None:
    """Weights whose outputs are about as large as their inputs, whatever the width."""
    bert.start_by_fan_in(module)
    if isinstance(module, DeformableConv):
        module.conv.reset_parameters()


def build_block(sizes: GLIPSizes) -> list[nn.Module]:
    """One block of the tower: VLFuse, text layer, DyConv; without deep fusion only the last."""
    visual, text = sizes.width, sizes.text
    convolution = DyConv(width=visual, groups=sizes.groups, squeeze=visual // sizes.squeeze)
    if not sizes.deep_fusion:
        return [convolution]
    attention = BiAttention(
        visual=visual,
        text=text.width,
        inner=sizes.fusion_inner,
        heads=sizes.fusion_heads,
        dropout=sizes.dropout,
    )
    fusion = VLFuse(attention=attention, visual=visual, text=text.width, gamma=1 / sizes.blocks)
    layer = BertLayer(width=text.width, heads=text.heads, inner=text.inner, dropout=sizes.dropout, limit=SCORE_LIMIT)
    return [fusion, layer.apply(initialise_bert), convolution]


def build_glip_text_encoder(name: str) -> TextEncoder:
    """The BERT that goes with the named GLIP."""
    return build_bert(SIZES[name].text, narrow=SIZES[name].narrow)
