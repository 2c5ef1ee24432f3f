"""GLIP as a model family: its sizes, its text encoder, and how its official checkpoints name their parts."""

import re
from pathlib import Path

from cones.models.family import ModelFamily
from cones.models.glip.build import build_glip, build_glip_text_encoder
from cones.models.glip.config import SIZES
from cones.models.glip.detector import GLIP
from cones.models.text_encoder import TextEncoder

MODEL = {
    "name": "glip",
    "class": "GLIPFamily",
    "models": [
        "glip_t",
        "glip_t_a",
        "glip_t_b",
        "glip_t_c",
        "glip_l",
        "glip_nano",
        "glip_nano_a",
        "glip_nano_b",
        "glip_nano_c",
    ],
    "nano": ["glip_nano", "glip_nano_a", "glip_nano_b", "glip_nano_c"],
    "precision": "float16",  # as published, with loss scaling
    "scoring_precision": "float32",
    "official": "official.yaml",
    "vocabulary": "bert-base-uncased",
}


class GLIPFamily(ModelFamily):
    text_prefix = "language_backbone.body.model."
    unused = re.compile(
        r"rpn\.head\.cls_logits\.(weight|bias)"
        r"|language_backbone\.body\.model\.(embeddings\.position_ids|pooler\.dense\.(weight|bias))"
    )

    def detector(self, name: str) -> GLIP:
        return build_glip(name)

    def text_encoder(self, name: str) -> TextEncoder:
        return build_glip_text_encoder(name)

    def vocabulary(self, name: str) -> Path:
        return SIZES[name].text.vocabulary_file
