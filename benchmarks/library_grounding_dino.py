"""A training step of stage 1 by transformers' own Grounding DINO: what `stage1.py` compares ours with.

Its forward pass and its loss as they are; only the text encoder gives vectors instead of what it makes of words, which
is what stage 1 is. Weights are random and frozen. The pieces of the caption say where classes are: "x x ." for each.
"""

from types import SimpleNamespace

import torch
from torch import Tensor, nn

from cones.models.detector import ImageBatch, Target
from cones.models.language import MAX_POSITIONS
from cones.models.layers.boxes import normalised_boxes

LIBRARY_MODELS = ("gdino_t", "mm_gdino_t")
LIBRARY_WAY = "transformers' code, valid text rows only (the library's way)"
LIBRARY_WAYS = {"transformers' code, text padded to 256 rows": MAX_POSITIONS, LIBRARY_WAY: None}  # way -> rows
WORD, STOP, PADDING = 2000, 1012, 0  # of bert-base-uncased; the library knows the stop by its number


class LibraryStep:
    """One image, K x N vectors as K phrases of N rows, padded to `rows` if it is given."""

    def __init__(self, name: str, *, images: ImageBatch, targets: list[Target], vectors: Tensor, rows: int | None):
        self.model, self.images = library_model(name), images
        classes, tokens, width = vectors.shape
        length = classes * tokens
        self.vectors = nn.Parameter(torch.zeros(1, rows or length, width))
        self.vectors.data[0, :length] = vectors.flatten(0, 1)
        self.ids = torch.full((1, rows or length), PADDING)
        self.ids[0, :length] = torch.tensor(([WORD] * (tokens - 1) + [STOP]) * classes)
        self.mask = (self.ids != PADDING).long()
        self.labels = [
            {"class_labels": target.labels, "boxes": normalised_boxes(target, size)}
            for target, size in zip(targets, images.sizes)
        ]
        self.model.model.text_backbone = Spoken(self.vectors)

    def __call__(self) -> None:
        self.vectors.grad = None
        pixel_mask = torch.ones_like(self.images.pixels[:, 0], dtype=torch.long)
        given = {"pixel_values": self.images.pixels, "pixel_mask": pixel_mask, "input_ids": self.ids}
        self.model(**given, attention_mask=self.mask, labels=self.labels).loss.backward()
        assert self.vectors.grad.abs().max() > 0


class Spoken(nn.Module):
    """Says the same vectors whatever it is asked."""

    def __init__(self, vectors: nn.Parameter):
        super().__init__()
        self.held = [vectors]  # in a list: it is no parameter of the model

    def forward(self, *_: object, **__: object) -> SimpleNamespace:
        return SimpleNamespace(last_hidden_state=self.held[0])


def library_model(name: str) -> nn.Module:
    """transformers' class of the named size (Swin-T) in eval mode, frozen, losses of all decoder layers on."""
    import transformers

    if name == "gdino_t":
        config = transformers.GroundingDinoConfig(auxiliary_loss=True)
        model = transformers.GroundingDinoForObjectDetection(config)
    else:
        config = transformers.MMGroundingDinoConfig(
            auxiliary_loss=True, decoder_bbox_embed_share=False, decoder_cls_embed_share=False
        )
        model = transformers.MMGroundingDinoForObjectDetection(config)
    return model.eval().requires_grad_(False)
