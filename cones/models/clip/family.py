"""CLIP as a model family: its sizes, its tokenizers, and how published weights name their parts."""

from pathlib import Path

from torch import Tensor

from cones.models.clip.build import build_clip
from cones.models.clip.checkpoint import UNUSED, converted
from cones.models.clip.config import NANO_VOCABULARY, SIZES
from cones.models.clip.model import CLIP
from cones.models.clip.tokenizer import ContextTokenizer, load_bpe_tokenizer, load_word_piece_tokenizer
from cones.models.family import DualEncoderFamily

MODEL = {
    "name": "clip",
    "class": "CLIPFamily",
    "kind": "dual_encoder",
    "models": ["clip_vit_b16", "clip_vit_b32", "clip_vit_l14", "clip_rn50", "clip_nano"],
    "nano": ["clip_nano"],
    "precision": "float32",
    "scoring_precision": "float32",
    "official": "official.yaml",
    "vocabulary": "clip-bpe",
}

BPE_VOCABULARY = Path("checkpoints/official/bpe_simple_vocab_16e6.txt.gz")  # fetched with the checkpoints


class CLIPFamily(DualEncoderFamily):
    unused = UNUSED

    def dual_encoder(self, name: str) -> CLIP:
        return build_clip(name)

    def tokenizer(self, name: str, vocabulary: str | Path | None = None) -> ContextTokenizer:
        text = SIZES[name].text
        if text.vocabulary:
            return load_bpe_tokenizer(vocabulary or BPE_VOCABULARY, text.context)
        return load_word_piece_tokenizer(vocabulary or NANO_VOCABULARY, text.context)

    def converted(self, name: str, state: dict[str, Tensor], *, where: object) -> dict[str, Tensor]:
        return converted(state)
