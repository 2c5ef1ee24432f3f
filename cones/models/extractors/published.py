"""The published pair of extractors: CLIP ViT-B/32 (pictures and texts) and DINO ViT-S/16 (pictures), from a directory.

Pictures are scaled and cut as the checkpoint's own `preprocessor_config.json` says, by Pillow.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from cones.models.extractors.extractor import FeatureExtractor, ReadsTexts
from cones.runtime.errors import ConesError

if TYPE_CHECKING:
    from PIL import Image


class ClipFeatures(ReadsTexts):
    """Both projections of a CLIP model."""

    def __init__(self, model: nn.Module, processor, tokenizer, device: torch.device):
        super().__init__(model, device)
        self.processor, self.tokenizer = processor, tokenizer

    @classmethod
    def load(cls, directory: Path, device: torch.device) -> "ClipFeatures":
        from transformers import AutoImageProcessor, CLIPModel, CLIPTokenizer

        return cls(
            _loaded(CLIPModel.from_pretrained, directory),
            _loaded(AutoImageProcessor.from_pretrained, directory, backend="pil"),
            _loaded(CLIPTokenizer.from_pretrained, directory),
            device,
        )

    def _features(self, pictures: "Sequence[Image.Image]") -> Tensor:
        pixels = self.processor(images=list(pictures), return_tensors="pt").pixel_values.to(self.device)
        return self.model.visual_projection(self.model.vision_model(pixel_values=pixels).pooler_output)

    def _text_features(self, texts: Sequence[str]) -> Tensor:
        said = self.tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt").to(self.device)
        heard = self.model.text_model(input_ids=said.input_ids, attention_mask=said.attention_mask)
        return self.model.text_projection(heard.pooler_output)


class DinoFeatures(FeatureExtractor):
    """The class token of DINO's vision transformer, after its last normalisation."""

    def __init__(self, model: nn.Module, processor, device: torch.device):
        super().__init__(model, device)
        self.processor = processor

    @classmethod
    def load(cls, directory: Path, device: torch.device) -> "DinoFeatures":
        from transformers import AutoImageProcessor, ViTModel

        return cls(
            _loaded(ViTModel.from_pretrained, directory, add_pooling_layer=False),
            _loaded(AutoImageProcessor.from_pretrained, directory, backend="pil"),
            device,
        )

    def _features(self, pictures: "Sequence[Image.Image]") -> Tensor:
        pixels = self.processor(images=list(pictures), return_tensors="pt").pixel_values.to(self.device)
        return self.model(pixel_values=pixels).last_hidden_state[:, 0]  # (B, 1 + patches, D) -> (B, D)


def _loaded(load: Callable, directory: Path, **options):
    try:
        return load(directory, local_files_only=True, **options)
    except (OSError, ValueError) as error:
        raise ConesError(
            "the feature extractor cannot be loaded",
            where=directory,
            found=str(error).splitlines()[0],
            next_step="complete the directory: weights, config, preprocessor_config, and for CLIP its tokenizer",
        ) from error
