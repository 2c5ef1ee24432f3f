"""GLIP as a `GroundedDetector`: anchors scored against every word of a text."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from cones.models.detector import (
    BoxFeatures,
    Detections,
    FeaturePyramid,
    GroundedDetector,
    ImageBatch,
    Predictions,
    Preprocessing,
    ScoredPlaces,
    Target,
)
from cones.models.glip.anchors import AnchorGenerator, decode
from cones.models.glip.atss import assign, centerness_targets
from cones.models.glip.box_features import features_of, neighbourhoods
from cones.models.glip.config import STRIDES
from cones.models.glip.fpn import Backbone
from cones.models.glip.head import DyHead, HeadOutputs
from cones.models.glip.postprocess import detect
from cones.models.language import LanguageFeatures
from cones.models.layers.alignment import projected_text
from cones.models.layers.levels import flatten_maps
from cones.models.layers.places import attention_projections, fusions, image_blocks
from cones.models.losses import LossTerm, LossTerms, giou_loss, sigmoid_focal_loss
from cones.runtime.devices import full_precision

BOX_WEIGHT = 2.0


class GLIP(GroundedDetector):
    """backbone (Swin + FPN) and rpn (dynamic head + anchors), named as in the official checkpoints; no text encoder.

    `Predictions.outputs` holds what `HeadOutputs` does, by name, and shapes, the (H_l, W_l) of the levels; V counts the
    anchors of all levels, one per location.

    detections_per_image  how many boxes `detect` keeps; may be set (300 for LVIS)
    """

    inclusive_boxes = True
    projections = frozenset(
        f"rpn.head.{name}"
        for name in (
            "bbox_pred.weight",
            "bbox_pred.bias",
            "centerness.weight",
            "centerness.bias",
            "dot_product_projection_text.weight",
            "dot_product_projection_text.bias",
            "log_scale",
            "bias_lang",
            "bias0",
        )
    )

    def __init__(
        self,
        *,
        backbone: Backbone,
        head: DyHead,
        anchor_generator: AnchorGenerator,
        text_width: int,
        text_layers: int,
        preprocessing: Preprocessing,
        always_frozen: tuple[str, ...] = (),
        detections_per_image: int = 100,
    ):
        super().__init__()
        self.pixels = nn.Identity()
        self.backbone = backbone
        self.rpn = nn.Module()
        self.rpn.head = head
        self.rpn.anchor_generator = anchor_generator
        self.text_width, self.text_layers, self.preprocessing = text_width, text_layers, preprocessing
        self.map_width = backbone.fpn.width
        self.always_frozen, self.detections_per_image = always_frozen, detections_per_image
        self.attention_projections, self.fusions = attention_projections(self), fusions(self)
        self.image_blocks = image_blocks(self)

    def image_encoder(self) -> list[nn.Module]:
        return [self.pixels, self.backbone]

    def encode_image(self, images: ImageBatch) -> FeaturePyramid:
        images = self.pixels(images)
        return FeaturePyramid(maps=self.backbone(images.pixels), sizes=images.sizes)

    def ground(
        self, pyramid: FeaturePyramid, language: LanguageFeatures, targets: list[Target] | None = None
    ) -> Predictions:
        visual, shapes = flatten_maps(pyramid.maps)  # (B, V, C)
        shapes = tuple(shapes)
        language = self.prepare_language(language, len(visual))
        found = self.rpn.head(visual, shapes, language.hidden, language.mask)
        return Predictions(outputs={**vars(found), "shapes": shapes}, language=language, pyramid=pyramid)

    def loss(self, predictions: Predictions, targets: list[Target]) -> LossTerms:
        """Token focal loss and centreness over the positives, 2 * GIoU over the sum of c* (docs/spec/glip.md 8)."""
        outputs, language = predictions.outputs, predictions.language
        anchors = self.rpn.anchor_generator(outputs["shapes"])  # (V, 4)
        logits, deltas, centerness = (full_precision(outputs[name]) for name in ("logits", "deltas", "centerness"))
        token_targets = torch.zeros_like(logits)  # (B, V, L)
        images, indices, boxes = [], [], []
        for image, target in enumerate(targets):
            matched = assign(target.boxes, anchors, areas(outputs["shapes"]))
            rows = language.class_positions[image][target.labels[matched.box]]  # (P, L)
            token_targets[image, matched.index] = rows.to(logits.dtype)
            images.append(torch.full_like(matched.index, image))
            indices.append(matched.index)
            boxes.append(target.boxes.to(anchors.dtype)[matched.box])
        image, index, boxes = torch.cat(images), torch.cat(indices), torch.cat(boxes)  # (P,), (P,), (P, 4)

        positives = anchors.new_full((), float(len(index)))
        quality = centerness_targets(anchors[index], boxes)  # (P,)
        token = sigmoid_focal_loss(logits, token_targets) * language.mask[:, None]  # (B, V, L)
        box = giou_loss(decode(deltas[image, index], anchors[index]), boxes) * quality
        centred = nn.functional.binary_cross_entropy_with_logits(centerness[image, index], quality, reduction="sum")
        return {
            "classification": LossTerm(token.sum(), positives),
            "box": LossTerm(BOX_WEIGHT * box.sum(), quality.sum(), floor=1e-12),
            "centerness": LossTerm(centred, positives),
        }

    def normalisers(self, targets: list[Target], size: tuple[int, int]) -> dict[str, Tensor]:
        shapes = tuple((-(-size[0] // stride), -(-size[1] // stride)) for stride in STRIDES)
        anchors = self.rpn.anchor_generator(shapes)  # (V, 4)
        positives, quality = anchors.new_zeros(()), anchors.new_zeros(())
        for target in targets:
            matched = assign(target.boxes, anchors, areas(shapes))
            positives += len(matched.index)
            quality += centerness_targets(anchors[matched.index], target.boxes.to(anchors.dtype)[matched.box]).sum()
        return {"classification": positives, "box": quality, "centerness": positives}

    def detect(self, predictions: Predictions, sizes: list[tuple[int, int]] | None = None) -> list[Detections]:
        """See `postprocess.detect`; boxes of equal score at the limit are all kept."""
        outputs = predictions.outputs
        return detect(
            HeadOutputs(**{name: value for name, value in outputs.items() if name != "shapes"}),
            predictions.language.class_positions,
            self.rpn.anchor_generator(outputs["shapes"]),
            areas(outputs["shapes"]),
            sizes or predictions.pyramid.sizes,
            self.detections_per_image,
        )

    def scored_places(self, predictions: Predictions) -> ScoredPlaces:
        outputs = predictions.outputs
        anchors = self.rpn.anchor_generator(outputs["shapes"])  # (V, 4)
        return ScoredPlaces(
            features=outputs["visual"],
            texts=projected_text(self.rpn.head, nn.functional.normalize(outputs["text"], dim=-1)),
            logits=outputs["logits"],
            boxes=decode(full_precision(outputs["deltas"].detach()), anchors),
        )

    def with_logits(self, predictions: Predictions, logits: Tensor) -> Predictions:
        return replace(predictions, outputs={**predictions.outputs, "logits": logits})

    def region_points(self, predictions: Predictions) -> Tensor:
        """The 3 x 3 points around each one on its own level."""
        return neighbourhoods(predictions.outputs["shapes"]).to(predictions.outputs["logits"].device)

    def box_features(self, predictions: Predictions, boxes: list[Tensor]) -> dict[str, list[BoxFeatures]]:
        """`fused`: what enters the dot product. `fpn`: both sides before they met, no prompt in the image."""
        outputs, language, head = predictions.outputs, predictions.language, self.rpn.head
        anchors = self.rpn.anchor_generator(outputs["shapes"])  # (V, 4)
        before, _ = flatten_maps(predictions.pyramid.maps)  # (B, V, C)
        sides = {"fused": (outputs["visual"], outputs["text"]), "fpn": (before, language.hidden)}
        found = {}
        for source, (visual, text) in sides.items():
            found[source] = [
                features_of(boxes[b], visual[b], text[b], language.class_positions[b], anchors, outputs["shapes"], head)
                for b in range(len(visual))
            ]
        return found


def areas(shapes: tuple[tuple[int, int], ...]) -> list[int]:
    """Locations per level."""
    return [height * width for height, width in shapes]
