"""The sizes of UNINEXT. Config objects stop at `build_uninext` and `build_uninext_text_encoder`."""

from dataclasses import dataclass

from cones.models.text_sizes import BERT_BASE, NANO_TEXT, TextSizes


@dataclass(frozen=True)
class UNINEXTSizes:
    """What tells one UNINEXT from another; the defaults are the image-level R50 (docs/spec/uninext.md 3, 6 to 10)."""

    stem: int = 64
    depths: tuple[int, ...] = (3, 4, 6, 3)
    middles: tuple[int, ...] = (64, 128, 256, 512)
    widths: tuple[int, ...] = (256, 512, 1024, 2048)
    text: TextSizes = BERT_BASE
    width: int = 256
    groups: int = 32  # of the norms of the input projections
    levels: int = 4
    heads: int = 8
    points: int = 4
    inner: int = 2048
    encoder_layers: int = 6
    decoder_layers: int = 6
    queries: int = 900
    denoising: int = 100  # positive denoising queries of an image
    fusion_inner: int = 2048
    fusion_heads: int = 8
    fusion_gamma: float = 1 / 6
    dropout: float = 0.1  # in the fusion, train mode; nowhere else
    mask_middle: int = 64
    frozen_stages: int = 2  # the stem and res2
    narrow: bool = False  # the text encoder's start weights by fan-in: N(0, 0.02) leaves narrow layers next to silent
    log_scale: float = 0.0  # start value in the class heads; at 0 those of a narrow model take long to say anything
    short_side: int = 800
    long_side_cap: int = 1333


STRIDE = 8  # of the finest level

SIZES: dict[str, UNINEXTSizes] = {
    "uninext_r50": UNINEXTSizes(),
    # the miniature world's UNINEXT: the same classes, small enough to pretrain and tune on a laptop
    "uninext_nano": UNINEXTSizes(
        stem=32,
        depths=(2, 2, 3, 2),
        middles=(32, 48, 96, 160),
        widths=(64, 128, 256, 384),
        text=NANO_TEXT,
        width=64,
        groups=8,
        levels=3,
        heads=4,
        points=2,
        inner=192,
        encoder_layers=2,
        decoder_layers=3,
        queries=100,
        denoising=24,
        fusion_inner=128,
        fusion_heads=4,
        fusion_gamma=0.5,
        dropout=0.0,
        mask_middle=32,
        frozen_stages=0,
        narrow=True,
        log_scale=-1.5,
        short_side=160,
        long_side_cap=160,
    ),
}
