"""The sizes of the CLIP models. Config objects stop at the builder in `build`."""

from dataclasses import dataclass
from pathlib import Path

NANO_VOCABULARY = Path(__file__).with_name("nano_vocab.txt")  # WordPiece: that of the nano detectors and more words

MEAN_RGB, STD_RGB = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
BPE_ENTRIES = 49408  # of OpenAI's vocabulary, start and end of a text among them


@dataclass(frozen=True)
class ViTSizes:
    """An image encoder of patches; D = width."""

    side: int  # of a picture, in pixels
    patch: int  # of a patch, in pixels
    width: int
    layers: int
    heads: int


@dataclass(frozen=True)
class ResNetSizes:
    """A modified ResNet: `width` channels after the stem, 32 times as many before the attention pool."""

    side: int
    width: int
    layers: tuple[int, int, int, int]  # blocks of each stage
    heads: int  # of the attention pool


@dataclass(frozen=True)
class TextSizes:
    """The text encoder; w = width."""

    width: int
    layers: int
    heads: int
    context: int = 77  # positions, start and end included
    vocabulary: int = BPE_ENTRIES  # 0: the lines of the project's own vocabulary


@dataclass(frozen=True)
class CLIPSizes:
    """Everything that tells one model from another; d = width."""

    image: ViTSizes | ResNetSizes
    text: TextSizes
    width: int


BASE_TEXT = TextSizes(width=512, layers=12, heads=8)

SIZES: dict[str, CLIPSizes] = {
    "clip_vit_b16": CLIPSizes(ViTSizes(224, 16, width=768, layers=12, heads=12), BASE_TEXT, width=512),
    "clip_vit_b32": CLIPSizes(ViTSizes(224, 32, width=768, layers=12, heads=12), BASE_TEXT, width=512),
    "clip_vit_l14": CLIPSizes(
        ViTSizes(224, 14, width=1024, layers=24, heads=16), TextSizes(width=768, layers=12, heads=12), width=768
    ),
    "clip_rn50": CLIPSizes(ResNetSizes(224, width=64, layers=(3, 4, 6, 3), heads=32), BASE_TEXT, width=1024),
    # the miniature world's CLIP: small enough to pretrain and tune on a laptop
    "clip_nano": CLIPSizes(
        ViTSizes(64, 8, width=128, layers=6, heads=4),
        TextSizes(width=96, layers=4, heads=3, context=32, vocabulary=0),
        width=128,
    ),
}


def vocabulary_entries(sizes: TextSizes) -> int:
    """How many entries the table of word vectors has."""
    return sizes.vocabulary or len(NANO_VOCABULARY.read_text(encoding="utf-8").splitlines())
