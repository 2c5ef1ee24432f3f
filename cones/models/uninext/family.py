"""UNINEXT as a model family: its sizes, its text encoder, and how its official checkpoint names its parts."""

import re
from pathlib import Path

from cones.models.family import ModelFamily
from cones.models.text_encoder import TextEncoder
from cones.models.uninext.build import build_uninext, build_uninext_text_encoder
from cones.models.uninext.config import SIZES
from cones.models.uninext.detector import UNINEXT

MODEL = {
    "name": "uninext",
    "class": "UNINEXTFamily",
    "models": ["uninext_r50", "uninext_nano"],
    "nano": ["uninext_nano"],
    "precision": "float32",  # the published configuration has no mixed precision
    "scoring_precision": "float32",
    "official": "official.yaml",
    "vocabulary": "bert-base-uncased",
}


class UNINEXTFamily(ModelFamily):
    text_prefix = "text_encoder.body.model."
    unused = re.compile(
        # the decoder's copies of the heads, and a counter of training steps
        r"detr\.detr\.transformer\.decoder\.(class_embed|bbox_embed)\.[\w.]+"
        r"|criterion\._iter"
        r"|text_encoder\.body\.model\.embeddings\.position_ids"
    )

    def detector(self, name: str) -> UNINEXT:
        return build_uninext(name)

    def text_encoder(self, name: str) -> TextEncoder:
        return build_uninext_text_encoder(name)

    def vocabulary(self, name: str) -> Path:
        return SIZES[name].text.vocabulary_file
