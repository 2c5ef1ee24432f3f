"""Grounding DINO as a `GroundedDetector`: queries scored against every row of a text, and boxed."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from cones.models.detector import (
    Detections,
    FeaturePyramid,
    GroundedDetector,
    ImageBatch,
    Predictions,
    Preprocessing,
    ScoredPlaces,
    Target,
)
from cones.models.grounding_dino.config import Weights
from cones.models.grounding_dino.criterion import GROUPS, Group, Truth, loss_terms, term_names
from cones.models.grounding_dino.encoder import Rows
from cones.models.grounding_dino.geometry import levels_of
from cones.models.grounding_dino.postprocess import detect_one
from cones.models.grounding_dino.transformer import Transformer
from cones.models.language import MAX_POSITIONS, LanguageFeatures
from cones.models.layers.boxes import boxes_in_pixels, normalised_boxes
from cones.models.layers.places import attention_projections, fusions, image_blocks
from cones.models.losses import LossTerms
from cones.runtime.errors import ConesError

LAST_BOX_LAYER = "layers.2"
BEHIND_FUSION = "behind_fusion"


class GroundingDINO(GroundedDetector):
    """`model`, `class_embed` and `bbox_embed`, named as in transformers; no text encoder.

    `Predictions.outputs` holds levels, text (B, L, C) after fusion, proposals, and layers (one `QueryOutput` each).

    class_heads           one for each decoder layer
    box_heads             one for each decoder layer, or one for all
    projections           what linear probing trains: the projection of the text, the biases of the class logits, and
                          the last layers of the box heads; the class logits have no projection of their own
    other_projections     "behind_fusion": the norm before the heads and the last layers of the box heads: nothing
                          trains whose gradient runs through the whole detector
    detections_per_image  how many boxes `detect` keeps; may be set
    loss_groups           which terms `loss` returns: "classification", "box"; may be set (paper, Table 4)
    """

    inclusive_boxes = False
    predicts_masks = False

    def __init__(
        self,
        *,
        transformer: Transformer,
        class_heads: list[nn.Module],
        box_heads: list[nn.Module],
        text_width: int,
        text_layers: int,
        cost: Weights,
        loss: Weights,
        preprocessing: Preprocessing,
        detections_per_image: int = 300,
    ):
        super().__init__()
        self.pixels = nn.Identity()
        self.model = transformer
        self.class_embed = nn.ModuleList(class_heads)
        self.bbox_embed = nn.ModuleList(box_heads)
        self.text_width, self.text_layers, self.preprocessing = text_width, text_layers, preprocessing
        self.map_width = transformer.level_embed.shape[1]
        self.cost_weights, self.loss_weights = cost, loss
        self.detections_per_image = detections_per_image
        self.loss_groups: tuple[Group, ...] = GROUPS
        names = [name for name, _ in self.named_parameters()]
        self.attention_projections, self.fusions = attention_projections(self), fusions(self)
        self.image_blocks = image_blocks(self)
        self.projections = frozenset(filter(is_projection, names))
        self.other_projections = {BEHIND_FUSION: frozenset(filter(is_behind_fusion, names))}

    def image_encoder(self) -> list[nn.Module]:
        return [self.pixels, self.model.backbone, self.model.input_proj_vision]

    def encode_image(self, images: ImageBatch) -> FeaturePyramid:
        images = self.pixels(images)
        padding = torch.ones_like(images.pixels[:, 0], dtype=torch.bool)  # (B, H, W)
        for row, (height, width) in zip(padding, images.sizes):
            row[:height, :width] = False
        return FeaturePyramid(self.model.image_maps(images.pixels), images.sizes, padding)

    def ground(
        self, pyramid: FeaturePyramid, language: LanguageFeatures, targets: list[Target] | None = None
    ) -> Predictions:
        """Everything behind the maps. There is no denoising: `targets` are not looked at."""
        check_rows(language)
        levels, language = levels_of(pyramid), self.prepare_language(language, len(pyramid.sizes))
        rows = Rows.of(language, self.model.level_embed.shape[1])
        memory, text = self.model.encode(pyramid.maps, levels, language.hidden, rows)
        proposals = self.model.propose(memory, levels, text, rows.mask)
        queries = self.model.query_position_embeddings.weight[: proposals.chosen.shape[1]]  # (Q, C)
        layers = len(self.class_embed)
        outputs = {
            "levels": levels,
            "text": text,
            "proposals": proposals,
            "layers": self.model.decoder(
                queries.expand(len(memory), -1, -1),  # (B, Q, C)
                proposals.reference,
                memory,
                levels,
                text,
                rows.mask,
                class_heads=[*self.class_embed],
                box_heads=[*self.bbox_embed] * (layers // len(self.bbox_embed)),
            ),
        }
        return Predictions(outputs=outputs, language=language, pyramid=pyramid)

    def loss(self, predictions: Predictions, targets: list[Target]) -> LossTerms:
        language = predictions.language
        truths = [
            Truth(normalised_boxes(target, size), positions[target.labels])
            for target, size, positions in zip(targets, predictions.pyramid.sizes, language.class_positions)
        ]
        outputs = [*predictions.outputs["layers"], predictions.outputs["proposals"].output]
        return loss_terms(
            outputs,
            truths,
            language.mask,
            cost=self.cost_weights,
            loss=self.loss_weights,
            groups=self.loss_groups,
        )

    def normalisers(self, targets: list[Target], size: tuple[int, int]) -> dict[str, Tensor]:
        objects = self.model.level_embed.new_tensor(float(sum(len(target.boxes) for target in targets)))
        return dict.fromkeys(term_names(len(self.class_embed), self.loss_groups), objects)

    def detect(self, predictions: Predictions, sizes: list[tuple[int, int]] | None = None) -> list[Detections]:
        """From the last layer; see `detect_one`."""
        layer, own = predictions.outputs["layers"][-1], predictions.pyramid.sizes
        positions = predictions.language.class_positions  # (B, K, L)
        return [
            detect_one(
                layer.logits[image],
                layer.boxes[image],
                positions[image],
                size=size,
                bounds=bounds,
                limit=self.detections_per_image,
            )
            for image, (size, bounds) in enumerate(zip(own, sizes or own))
        ]

    def scored_places(self, predictions: Predictions) -> ScoredPlaces:
        layer = predictions.outputs["layers"][-1]
        boxes = boxes_in_pixels(layer.boxes, predictions.pyramid.sizes)
        return ScoredPlaces(layer.queries, predictions.outputs["text"], layer.logits, boxes)

    def with_logits(self, predictions: Predictions, logits: Tensor) -> Predictions:
        *before, last = predictions.outputs["layers"]
        return replace(predictions, outputs={**predictions.outputs, "layers": [*before, replace(last, logits=logits)]})


def is_projection(name: str) -> bool:
    """Whether linear probing trains the parameter (docs/spec/grounding_dino.md, section 6)."""
    heads = ("class_embed.", "model.encoder_output_class_embed.")
    return name.startswith(("model.text_projection.", *heads)) or is_last_box_layer(name)


def is_behind_fusion(name: str) -> bool:
    """Whether linear probing trains the parameter in its other form."""
    return name.startswith("model.decoder.layer_norm.") or is_last_box_layer(name)


def is_last_box_layer(name: str) -> bool:
    boxes = ("bbox_embed.", "model.encoder_output_bbox_embed.")
    return name.startswith(boxes) and f"{LAST_BOX_LAYER}." in name


def check_rows(language: LanguageFeatures) -> None:
    """ConesError unless the features say where phrases begin and have at most 256 rows."""
    if language.phrases is None:
        raise ConesError(
            "the language features do not say where phrases begin, and Grounding DINO reads each phrase apart",
            expected="LanguageFeatures.phrases",
            next_step="make them of a prompt that keeps `phrases`, or encode the class names again",
        )
    rows = language.hidden.shape[1]
    if rows > MAX_POSITIONS:
        raise ConesError(
            "the language features have too many rows for Grounding DINO",
            expected=f"at most {MAX_POSITIONS}, such as classes x tokens_per_class",
            found=rows,
            next_step="lower tokens_per_class",
        )
