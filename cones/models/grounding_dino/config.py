"""The sizes of the Grounding DINO family. Config objects stop at the two builders in `build`."""

from dataclasses import dataclass, replace

from cones.models.text_sizes import BERT_BASE, NANO_TEXT, TextSizes


@dataclass(frozen=True)
class Weights:
    """How much the class, the L1 distance and the GIoU of boxes count: in a cost of matching, or in the loss."""

    classification: float
    box: float
    giou: float


@dataclass(frozen=True)
class GroundingDINOSizes:
    """Everything that tells one member of the family from another; the defaults are Grounding DINO with Swin-T.

    maps               outputs of the backbone that are used, counted from the coarsest
    scaled_contrast    class logits are divided by sqrt(width) and shifted by a bias (MM-Grounding-DINO, LLMDet)
    separate_box_heads one box head for each decoder layer instead of one for all (MM-Grounding-DINO, LLMDet)
    narrow             start weights by fan-in: those of a published size leave narrow layers next to silent
    cost, loss         docs/spec/grounding_dino.md, section 3: here mmdetection's numbers with the cost in the form of
                       transformers. The other defensible pair is cost 1, 5, 2 with loss 2, 5, 2 (transformers and
                       Open-GroundingDino)
    """

    embed: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    swin_heads: tuple[int, ...] = (3, 6, 12, 24)
    window: int = 7
    drop_path: float = 0.2
    maps: int = 3
    text: TextSizes = BERT_BASE
    width: int = 256
    groups: int = 32  # of the norms of the input projections
    levels: int = 4
    heads: int = 8  # of the deformable layers and the decoder
    points: int = 4
    inner: int = 2048  # feed-forward, of the same
    fusion_heads: int = 4  # also of the text enhancer
    fusion_inner: int = 1024  # also the feed-forward of the text enhancer
    fusion_gain: float = 1e-4
    fusion_drop_path: float = 0.1
    encoder_layers: int = 6
    decoder_layers: int = 6
    queries: int = 900
    scaled_contrast: bool = False
    separate_box_heads: bool = False
    narrow: bool = False
    cost: Weights = Weights(2.0, 5.0, 2.0)
    loss: Weights = Weights(1.0, 5.0, 2.0)
    short_side: int = 800
    long_side_cap: int = 1333


TINY = GroundingDINOSizes()
BASE = replace(TINY, embed=128, depths=(2, 2, 18, 2), swin_heads=(4, 8, 16, 32), window=12, drop_path=0.3)
MM_TINY = replace(TINY, scaled_contrast=True, separate_box_heads=True, fusion_drop_path=0.0)
MM_BASE = replace(BASE, scaled_contrast=True, separate_box_heads=True, fusion_drop_path=0.0)
MM_LARGE = replace(MM_BASE, embed=192, swin_heads=(6, 12, 24, 48), drop_path=0.2, maps=4, levels=5)

SIZES: dict[str, GroundingDINOSizes] = {
    "gdino_t": TINY,
    "gdino_b": BASE,
    "mm_gdino_t": MM_TINY,
    "mm_gdino_b": MM_BASE,
    "mm_gdino_l": MM_LARGE,
    # the same pretrained on other data: see official.yaml
    "mm_gdino_t_goldg": MM_TINY,
    "mm_gdino_t_grit": MM_TINY,
    "mm_gdino_t_grit_v3det": MM_TINY,
    "mm_gdino_b_all": MM_BASE,
    "mm_gdino_l_all": MM_LARGE,
    "llmdet_t": MM_TINY,
    "llmdet_b": MM_BASE,
    "llmdet_l": MM_LARGE,
    # the miniature world's Grounding DINO: the same classes, small enough to pretrain and tune on a laptop
    "grounding_dino_nano": replace(
        MM_TINY,
        embed=24,
        depths=(2, 2, 2, 2),
        swin_heads=(2, 4, 8, 16),
        window=5,
        drop_path=0.0,
        text=NANO_TEXT,
        width=64,
        heads=4,
        points=2,
        inner=256,
        fusion_heads=2,
        fusion_inner=128,
        fusion_gain=0.5,
        encoder_layers=2,
        decoder_layers=3,
        queries=100,
        narrow=True,
        short_side=160,
        long_side_cap=160,
    ),
}
