"""UNINEXT as a `GroundedDetector`: queries scored against every word of a text, boxed, rated and outlined."""

from dataclasses import replace
from functools import partial

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
from cones.models.language import LanguageFeatures
from cones.models.layers.alignment import projected_text
from cones.models.layers.box_head import MLP, box_head
from cones.models.layers.boxes import boxes_in_pixels, normalised_boxes
from cones.models.layers.levels import unflatten_maps
from cones.models.layers.places import attention_projections, fusions
from cones.models.losses import LossTerm, LossTerms
from cones.models.uninext.criterion import (
    GROUPS,
    TERMS,
    Criterion,
    Group,
    Sums,
    Truth,
    kind_of,
    mask_targets,
    suffixes,
    term_names,
)
from cones.models.uninext.decoder import QueryHeads
from cones.models.uninext.denoising import denoising_queries
from cones.models.uninext.geometry import BACKBONE_LEVELS, levels_of
from cones.models.uninext.heads import AlignmentHead, ObjectHead, Resizer
from cones.models.uninext.masks import PARAMETERS, MaskFeatures, dynamic_masks
from cones.models.uninext.postprocess import detect_one, enlarged_masks
from cones.models.uninext.resnet import ResNet, thaw
from cones.models.uninext.transformer import Transformer
from cones.runtime.errors import ConesError

WORDS = ("dot_product_projection_text.weight", "dot_product_projection_text.bias", "log_scale", "bias_lang", "bias0")


class UNINEXT(GroundedDetector):
    """Named as in the official checkpoints (`detr.detr.…`); no text encoder.

    `Predictions.outputs` holds levels, text (B, L, D) after fusion, proposals, denoising (or None), layers (one
    `LayerOutput` each, denoising queries first) and mask_features (B, 8, H_0, W_0).

    projections           what linear probing trains: in the class head of each decoder layer the projection of the text
                          to the width of the queries, the logit scale and both biases; nothing else
    detections_per_image  how many boxes `detect` keeps; may be set
    loss_groups           which terms `loss` returns: "classification", "box", "mask"; may be set (paper, Table 4).
                          Matching looks at classes and boxes whatever the groups
    denoising             positive denoising queries of an image, over all groups
    stride                of the finest level, pixels; masks are predicted at half of it
    """

    inclusive_boxes = False
    predicts_masks = True

    def __init__(
        self,
        *,
        backbone: ResNet,
        projections: nn.ModuleList,
        transformer: Transformer,
        class_heads: list[AlignmentHead],
        mask_features: MaskFeatures,
        width: int,
        text_width: int,
        text_layers: int,
        stride: int,
        denoising: int,
        preprocessing: Preprocessing,
        always_frozen: tuple[str, ...] = (),
        detections_per_image: int = 100,
    ):
        super().__init__()
        self.pixels = nn.Identity()
        layers = len(class_heads)
        inner = nn.Module()
        inner.transformer = transformer
        inner.class_embed = nn.ModuleList([*class_heads, ObjectHead(visual=width)])
        inner.bbox_embed = nn.ModuleList(box_head(width) for _ in range(layers + 1))
        inner.iou_head = nn.ModuleList(nn.Linear(width, 1) for _ in range(layers))
        inner.input_proj = projections
        inner.backbone = nn.ModuleList([nn.Module()])
        inner.backbone[0].backbone = backbone
        self.detr = nn.Module()
        self.detr.detr = inner
        self.detr.controller = MLP(width, width, width, PARAMETERS)
        self.detr.mask_head = mask_features
        self.detr.resizer = Resizer(text=text_width, visual=width)
        self.text_width, self.text_layers, self.preprocessing = text_width, text_layers, preprocessing
        self.stride, self.denoising = stride, denoising
        self.map_width, self.finest_stride = width, stride
        self.projections = frozenset(f"detr.detr.class_embed.{i}.{name}" for i in range(layers) for name in WORDS)
        self.always_frozen, self.detections_per_image = always_frozen, detections_per_image
        self.loss_groups: tuple[Group, ...] = GROUPS
        self.attention_projections, self.fusions = attention_projections(self), fusions(self)

    def image_encoder(self) -> list[nn.Module]:
        return [self.pixels, self.detr.detr.backbone, self.detr.detr.input_proj]

    def thaw(self) -> None:
        """The frozen batch norms learn, under the names they have."""
        thaw(self.detr.detr.backbone)

    def encode_image(self, images: ImageBatch) -> FeaturePyramid:
        """The projected maps: backbone levels, then coarser ones made of the coarsest."""
        images = self.pixels(images)
        features = self.detr.detr.backbone[0].backbone(images.pixels)
        maps = []
        for level, project in enumerate(self.detr.detr.input_proj):
            source = features[level] if level < len(features) else features[-1] if level == len(features) else maps[-1]
            maps.append(project(source))
        padding = torch.ones_like(images.pixels[:, 0], dtype=torch.bool)  # (B, H, W)
        for row, (height, width) in zip(padding, images.sizes):
            row[:height, :width] = False
        return FeaturePyramid(maps, images.sizes, padding)

    def ground(
        self, pyramid: FeaturePyramid, language: LanguageFeatures, targets: list[Target] | None = None
    ) -> Predictions:
        """Everything from the fusion on; targets, in any mode, add denoising queries (docs/spec/uninext.md 11)."""
        inner, transformer = self.detr.detr, self.detr.detr.transformer
        levels, language = levels_of(pyramid), self.prepare_language(language, len(pyramid.sizes))
        mask = None if bool(language.mask.all()) else language.mask
        memory, text = transformer.encode(pyramid.maps, levels, language.hidden, mask)
        proposals = transformer.propose(memory, levels, objectness=inner.class_embed[-1], box_head=inner.bbox_embed[-1])
        denoising = None
        if targets is not None:
            said = self.detr.resizer(pooled(language))  # (B, C)
            denoising = denoising_queries(
                targets, pyramid.sizes, said, positives=self.denoising, real_queries=proposals.chosen.shape[1]
            )
        heads = QueryHeads(inner.class_embed, inner.bbox_embed, inner.iou_head)
        maps = unflatten_maps(memory, levels.shapes)[:BACKBONE_LEVELS]
        outputs = {
            "levels": levels,
            "text": text,
            "proposals": proposals,
            "denoising": denoising,
            "layers": transformer.decode(proposals, denoising, memory, text, levels, heads),
            "mask_features": self.detr.mask_head(maps),
        }
        return Predictions(outputs=outputs, language=language, pyramid=pyramid)

    def predict_masks(self, predictions: Predictions, image: int, queries: Tensor, reference: Tensor) -> Tensor:
        """queries (M, C) of one image and the boxes (M, 4) that went into their layer -> logits (M, 2 H_0, 2 W_0)."""
        height, width = predictions.pyramid.sizes[image]
        centres = reference[:, :2] * reference.new_tensor([width, height])  # (M, 2) pixels
        features = predictions.outputs["mask_features"][image]
        return dynamic_masks(features, self.detr.controller(queries), centres, self.stride)

    def sums(self, predictions: Predictions, targets: list[Target]) -> dict[str, Sums]:
        """The unweighted terms of `loss_groups`, image by image; without objects in the batch those of denoising are
        absent."""
        outputs, language = predictions.outputs, predictions.language
        criterion = Criterion(
            truths=self._truths(predictions, targets),
            words=language.mask,
            groups=self.loss_groups,
            predict_masks=partial(self.predict_masks, predictions),
        )
        denoising = outputs["denoising"]
        first = 0 if denoising is None else denoising.content.shape[1]
        real = [layer[first:] for layer in outputs["layers"]]
        matches = criterion.match_layers(real)
        for layer, queries, served, suffix in zip(outputs["layers"], real, matches, suffixes(len(real)), strict=True):
            criterion.add_layer(queries, served, suffix)
            if denoising is not None:
                criterion.add_denoising(layer[:first], denoising, suffix)
        criterion.add_proposals(outputs["proposals"])
        return criterion.sums

    def _truths(self, predictions: Predictions, targets: list[Target]) -> list[Truth]:
        height, width = predictions.outputs["mask_features"].shape[-2:]
        truths = []
        for target, size, positions in zip(targets, predictions.pyramid.sizes, predictions.language.class_positions):
            masks = None
            if "mask" in self.loss_groups:
                if target.masks is None:
                    raise ConesError(
                        "the mask loss needs masks, and an image has none",
                        where=f"image {target.image_id}",
                        next_step='use a dataset with masks, or leave "mask" out of loss_groups',
                    )
                masks = mask_targets(target.masks, (2 * height, 2 * width), self.stride // 2)
            truths.append(Truth(normalised_boxes(target, size), positions[target.labels], masks))
        return truths

    def loss(self, predictions: Predictions, targets: list[Target]) -> LossTerms:
        """Compute every term for each image by itself, divided by that image's own number of matches.

        The reference divides per device, with one image on each (docs/spec/uninext.md 11). The normaliser is the
        number of images.
        """
        sums = self.sums(predictions, targets)
        images = predictions.pyramid.maps[0].new_full((), float(len(targets)), dtype=torch.float32)
        terms = {}
        for name in self._names():
            weight, _ = TERMS[kind_of(name)]
            found = sums.get(name)
            value = images.new_zeros(()) if found is None else (found.sum / found.count.clamp(min=1)).sum()
            terms[name] = LossTerm(weight * value, images)
        return terms

    def normalisers(self, targets: list[Target], size: tuple[int, int]) -> dict[str, Tensor]:
        images = self.detr.controller.layers[0].weight.new_full((), float(len(targets)))
        return dict.fromkeys(self._names(), images)

    def _names(self) -> list[str]:
        return term_names(len(self.detr.detr.iou_head), self.loss_groups)

    def detect(self, predictions: Predictions, sizes: list[tuple[int, int]] | None = None) -> list[Detections]:
        """Detections of the last layer, best first; masks for what is kept only (docs/spec/uninext.md 12)."""
        denoising, layer = predictions.outputs["denoising"], predictions.outputs["layers"][-1]
        if denoising is not None:
            layer = layer[denoising.content.shape[1] :]
        found, predict = [], partial(self.predict_masks, predictions)
        own = predictions.pyramid.sizes
        for image, (size, bounds) in enumerate(zip(own, sizes or own)):
            positions = predictions.language.class_positions[image]  # (K, L)
            one, query = detect_one(layer, image, positions, size=size, bounds=bounds, limit=self.detections_per_image)
            if self.masks_for_every_query:
                every = torch.arange(layer.queries.shape[1], device=query.device)
                one.masks = enlarged_masks(layer, image, every, predict, self.stride // 2, bounds)[query]
            else:
                one.masks = enlarged_masks(layer, image, query, predict, self.stride // 2, bounds)
            found.append(one)
        return found

    def scored_places(self, predictions: Predictions) -> ScoredPlaces:
        denoising, inner = predictions.outputs["denoising"], self.detr.detr
        first = 0 if denoising is None else denoising.content.shape[1]
        layer = predictions.outputs["layers"][-1][first:]
        text = nn.functional.normalize(predictions.outputs["text"], dim=-1)
        return ScoredPlaces(
            features=layer.queries,
            texts=projected_text(inner.class_embed[len(inner.iou_head) - 1], text),
            logits=layer.logits,
            boxes=boxes_in_pixels(layer.boxes, predictions.pyramid.sizes),
        )

    def with_logits(self, predictions: Predictions, logits: Tensor) -> Predictions:
        *before, last = predictions.outputs["layers"]
        whole = torch.cat([last.logits[:, : last.logits.shape[1] - logits.shape[1]], logits], dim=1)
        return replace(predictions, outputs={**predictions.outputs, "layers": [*before, replace(last, logits=whole)]})


def pooled(language: LanguageFeatures) -> Tensor:
    """(B, D) the mean of the valid rows."""
    share = language.mask.to(language.hidden.dtype)  # (B, L)
    return (language.hidden * share[..., None]).sum(dim=1) / share.sum(dim=1, keepdim=True)
