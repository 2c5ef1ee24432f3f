"""The sizes of GLIP. Config objects stop at `build_glip` and `build_glip_text_encoder`."""

from dataclasses import dataclass, replace

from cones.models.text_sizes import BERT_BASE, NANO_TEXT, TextSizes


@dataclass(frozen=True)
class GLIPSizes:
    """Everything that tells one GLIP from another (docs/spec/glip.md 0, 1, 4, 5, 6, 8)."""

    embed: int
    depths: tuple[int, ...]
    heads: tuple[int, ...]
    window: int
    drop_path: float
    blocks: int
    deep_fusion: bool = True
    text: TextSizes = BERT_BASE
    width: int = 256
    fusion_inner: int = 2048
    fusion_heads: int = 8
    dropout: float = 0.1  # in the fusion and in the head's text layers, train mode
    drop_block: float = 0.3
    groups: int = 16
    squeeze: int = 4  # DyReLU: width // squeeze
    anchor_scale: float = 8.0
    frozen_stages: int = 2  # 1: the patch embedding, 2: and the first Swin stage
    narrow: bool = False  # start weights by fan-in: GLIP's N(0, 0.02) and N(0, 0.01) leave narrow layers next to silent
    box_scale: float = 1.0  # start values of the levels' box factors and of the logit scale: with GLIP's own the 1 x 1
    log_scale: float = 0.0  # heads of a narrow model take hundreds of AdamW steps to say anything
    short_side: int = 800
    long_side_cap: int = 1333


STRIDES = (8, 16, 32, 64, 128)

SIZES: dict[str, GLIPSizes] = {
    "glip_t": GLIPSizes(embed=96, depths=(2, 2, 6, 2), heads=(3, 6, 12, 24), window=7, drop_path=0.2, blocks=6),
    "glip_t_a": GLIPSizes(
        embed=96, depths=(2, 2, 6, 2), heads=(3, 6, 12, 24), window=7, drop_path=0.2, blocks=6, deep_fusion=False
    ),
    "glip_l": GLIPSizes(embed=192, depths=(2, 2, 18, 2), heads=(6, 12, 24, 48), window=12, drop_path=0.4, blocks=8),
    # the miniature world's GLIP: the same classes, small enough to pretrain and tune on a laptop
    "glip_nano": GLIPSizes(
        embed=24,
        depths=(2, 2, 2, 2),
        heads=(2, 4, 8, 16),
        window=5,
        drop_path=0.0,
        blocks=2,
        text=NANO_TEXT,
        width=48,
        fusion_inner=128,
        fusion_heads=4,
        dropout=0.0,
        drop_block=0.0,
        anchor_scale=4.0,
        frozen_stages=0,
        narrow=True,
        box_scale=10.0,
        log_scale=-1.5,
        short_side=160,
        long_side_cap=160,
    ),
}
SIZES["glip_nano_a"] = replace(SIZES["glip_nano"], deep_fusion=False)
SIZES |= {"glip_t_b": SIZES["glip_t"], "glip_t_c": SIZES["glip_t"]}  # the same, pretrained on less (Table 9)
SIZES |= {"glip_nano_b": SIZES["glip_nano"], "glip_nano_c": SIZES["glip_nano"]}
