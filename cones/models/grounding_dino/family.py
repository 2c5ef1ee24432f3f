"""The Grounding DINO family: its sizes, its text encoder, its captions, and how published weights name their parts."""

import re
from pathlib import Path
from types import MappingProxyType

from torch import Tensor

from cones.models.caption_style import CaptionStyle
from cones.models.family import ModelFamily
from cones.models.grounding_dino.build import build_grounding_dino, build_grounding_dino_text_encoder
from cones.models.grounding_dino.checkpoint import BACKBONE, converted
from cones.models.grounding_dino.config import SIZES
from cones.models.grounding_dino.detector import GroundingDINO
from cones.models.text_encoder import TextEncoder

MODEL = {
    "name": "grounding_dino",
    "class": "GroundingDINOFamily",
    "models": [
        "gdino_t",
        "gdino_b",
        "mm_gdino_t",
        "mm_gdino_b",
        "mm_gdino_l",
        "mm_gdino_t_goldg",
        "mm_gdino_t_grit",
        "mm_gdino_t_grit_v3det",
        "mm_gdino_b_all",
        "mm_gdino_l_all",
        "llmdet_t",
        "llmdet_b",
        "llmdet_l",
        "grounding_dino_nano",
    ],
    "nano": ["grounding_dino_nano"],
    "official": "official.yaml",
    "text_rows": 256,  # as published
    "vocabulary": "bert-base-uncased",
}


# of the 35 datasets of ODinW, those that the registry has
ODINW = frozenset(
    {
        *("pascal_voc", "aerial_maritime_drone_large", "aquarium", "cottontail_rabbits", "egohands_generic"),
        *("north_america_mushrooms", "packages", "raccoon", "shellfish_openimages", "vehicles_openimages"),
        *("pistols", "pothole", "thermal_dogs_and_people", "bccd"),
    }
)


class GroundingDINOFamily(ModelFamily):
    text_prefix = "model.text_backbone."
    pretrained_on = MappingProxyType({"gdino_b": ODINW})  # docs/spec/grounding_dino.md, section 4
    captions = CaptionStyle(ends_with_stop=True, delimiters=("[CLS]", "[SEP]", ".", "?"))
    # the backbone's last norm is made by transformers and never called
    unused = re.compile(
        rf"{re.escape(BACKBONE)}layernorm\.(weight|bias)|model\.text_backbone\.embeddings\.position_ids"
    )

    def detector(self, name: str) -> GroundingDINO:
        return build_grounding_dino(name)

    def text_encoder(self, name: str) -> TextEncoder:
        return build_grounding_dino_text_encoder(name)

    def vocabulary(self, name: str) -> Path:
        return SIZES[name].text.vocabulary_file

    def converted(self, name: str, state: dict[str, Tensor], *, where: object) -> dict[str, Tensor]:
        sizes = SIZES[name]
        return converted(
            state,
            separate_box_heads=sizes.separate_box_heads,
            decoder_layers=sizes.decoder_layers,
            where=where,
        )
