"""The 57 loss terms of UNINEXT, each as a sum and a count, image by image (docs/spec/uninext.md 11)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from cones.models.layers.boxes import to_corners
from cones.models.layers.matching import Match, one_to_one
from cones.models.losses import giou_loss, sigmoid_focal_loss
from cones.models.uninext.decoder import LayerOutput
from cones.models.uninext.denoising import Denoising
from cones.models.uninext.matching import proposal_cost, simota, simota_table
from cones.models.uninext.selection import Proposals
from cones.runtime.devices import full_precision

Group = Literal["classification", "box", "mask"]
GROUPS: tuple[Group, ...] = ("classification", "box", "mask")  # as the paper's Table 4 leaves them out

# kind of term -> (weight, group)
TERMS: dict[str, tuple[float, Group]] = {
    "loss_ce": (2.0, "classification"),
    "loss_bbox": (5.0, "box"),
    "loss_giou": (2.0, "box"),
    "loss_boxiou": (1.0, "box"),
    "loss_mask": (2.0, "mask"),
    "loss_dice": (5.0, "mask"),
}
ENCODER_TERMS = DENOISING_TERMS = ("loss_ce", "loss_bbox", "loss_giou")


class Sums(NamedTuple):
    """One unweighted term: sum (B,) and count (B,) of each image."""

    sum: Tensor
    count: Tensor


@dataclass
class Truth:
    """One image: boxes (G, 4) cx, cy, w, h in shares of the image; positive (G, L) bool, the words of each object;
    masks (G, h, w) float at the size of predicted masks, or None if no mask term is asked for."""

    boxes: Tensor
    positive: Tensor
    masks: Tensor | None


def kind_of(term: str) -> str:
    """ "loss_ce_dn_3" -> "loss_ce"."""
    return "_".join(term.split("_")[:2])


def suffixes(layers: int) -> list[str]:
    """Of each decoder layer: "_0", "_1", … and "" for the last."""
    return [*(f"_{layer}" for layer in range(layers - 1)), ""]


def term_names(layers: int, groups: tuple[Group, ...]) -> list[str]:
    """Every term of a model with so many decoder layers, of some groups."""
    names = [f"{kind}{suffix}" for suffix in suffixes(layers) for kind in TERMS]
    names += [f"{kind}_enc" for kind in ENCODER_TERMS]
    names += [f"{kind}_dn{suffix}" for suffix in suffixes(layers) for kind in DENOISING_TERMS]
    return [name for name in names if TERMS[kind_of(name)][1] in groups]


MaskHead = Callable[[int, Tensor, Tensor], Tensor]  # image, queries (M, C), reference (M, 4) -> logits (M, h, w)


class Criterion:
    """Collects the terms of one batch.

    truths      one per image
    words       (B, L) bool, the valid positions of the text
    groups      which terms are wanted; matching does not depend on it
    predict_masks  makes the masks of matched queries
    """

    def __init__(self, *, truths: list[Truth], words: Tensor, groups: tuple[Group, ...], predict_masks: MaskHead):
        self.truths, self.words, self.groups, self.predict_masks = truths, words, groups, predict_masks
        self.sums: dict[str, Sums] = {}

    def match_layers(self, layers: list[LayerOutput]) -> list[list[Match]]:
        """The real queries of decoder layers, matched by SimOTA: of each layer, of each image."""
        matches = simota(
            [
                simota_table(logits, boxes, truth.positive, truth.boxes)
                for layer in layers
                for logits, boxes, truth in zip(full_precision(layer.logits), layer.boxes, self.truths)
            ]
        )
        images = len(self.truths)
        return [matches[first : first + images] for first in range(0, len(matches), images)]

    def add_layer(self, layer: LayerOutput, matches: list[Match], suffix: str) -> None:
        """The real queries of a decoder layer, with the matches of each image."""
        image, query = flat(matches)
        count = counts(matches, layer.boxes)
        if "classification" in self.groups:
            self.sums[f"loss_ce{suffix}"] = self._words(layer.logits, matches, count)
        if "box" in self.groups:
            boxes, wanted = layer.boxes[image, query], self._wanted(matches)
            self._boxes(boxes, wanted, image, count, suffix)
            quality = F.binary_cross_entropy_with_logits(
                full_precision(layer.quality[image, query]), paired_iou(boxes.detach(), wanted), reduction="none"
            )
            self._add(f"loss_boxiou{suffix}", quality, image, count)
        if "mask" in self.groups:
            self._masks(layer, matches, image, count, suffix)

    def add_proposals(self, proposals: Proposals) -> list[Match]:
        """Every image token as a candidate, matched one to one; returns the matches of each image."""
        boxes = proposals.boxes.sigmoid()  # (B, N, 4)
        costs = [
            proposal_cost(logits, box, truth.boxes)
            for logits, box, truth in zip(full_precision(proposals.logits.detach()), boxes.detach(), self.truths)
        ]
        matches = one_to_one(costs)
        image, token = flat(matches)
        count = counts(matches, boxes)
        if "classification" in self.groups:
            logits = full_precision(proposals.logits)
            wanted = torch.zeros_like(logits)
            wanted[image, token] = 1.0
            self.sums["loss_ce_enc"] = Sums(sigmoid_focal_loss(logits, wanted).sum(dim=1), count)
        if "box" in self.groups:
            self._boxes(boxes[image, token], self._wanted(matches), image, count, "_enc")
        return matches

    def add_denoising(self, layer: LayerOutput, denoising: Denoising, suffix: str) -> None:
        """The denoising queries of a decoder layer: whom a positive one serves is known, a negative serves nobody."""
        matches = [denoising.positives(len(truth.boxes)) for truth in self.truths]
        image, query = flat(matches)
        count = counts(matches, layer.boxes)
        if "classification" in self.groups:
            self.sums[f"loss_ce_dn{suffix}"] = self._words(layer.logits, matches, count)
        if "box" in self.groups:
            self._boxes(layer.boxes[image, query], self._wanted(matches), image, count, f"_dn{suffix}")

    def _wanted(self, matches: list[Match]) -> Tensor:
        """(M, 4) the object of every match of the batch."""
        return torch.cat([truth.boxes[served] for truth, (_, served) in zip(self.truths, matches)])

    def _words(self, logits: Tensor, matches: list[Match], count: Tensor) -> Sums:
        """Focal loss of logits (B, Q, L): 1 for the words of the object that a query serves, else 0."""
        logits = full_precision(logits)
        wanted = torch.zeros_like(logits)
        for row, truth, (query, served) in zip(wanted, self.truths, matches):
            row[query] = truth.positive[served].to(row.dtype)
        loss = sigmoid_focal_loss(logits, wanted) * self.words[:, None]  # (B, Q, L)
        return Sums(loss.sum(dim=(1, 2)), count)

    def _boxes(self, boxes: Tensor, wanted: Tensor, image: Tensor, count: Tensor, suffix: str) -> None:
        """boxes and wanted (M, 4) cx, cy, w, h, image (M,)."""
        self._add(f"loss_bbox{suffix}", (boxes - wanted).abs().sum(dim=1), image, count)
        self._add(f"loss_giou{suffix}", giou_loss(to_corners(boxes), to_corners(wanted)), image, count)

    def _masks(self, layer: LayerOutput, matches: list[Match], image: Tensor, count: Tensor, suffix: str) -> None:
        logits, wanted = [], []
        for index, (truth, (query, served)) in enumerate(zip(self.truths, matches)):
            logits.append(self.predict_masks(index, layer.queries[index, query], layer.reference[index, query]))
            wanted.append(truth.masks[served])
        logits, wanted = full_precision(torch.cat(logits).flatten(1)), torch.cat(wanted).flatten(1)  # (M, h * w)
        self._add(f"loss_mask{suffix}", sigmoid_focal_loss(logits, wanted).mean(dim=1), image, count)
        self._add(f"loss_dice{suffix}", dice_loss(logits, wanted), image, count)

    def _add(self, name: str, values: Tensor, image: Tensor, count: Tensor) -> None:
        """values (M,) of the images (M,) -> the sum of each image."""
        self.sums[name] = Sums(torch.zeros_like(count).index_add(0, image, values), count)


def flat(matches: list[Match]) -> tuple[Tensor, Tensor]:
    """Matches of each image -> image (M,) and query (M,)."""
    queries = [query for query, _ in matches]
    return torch.cat([torch.full_like(query, index) for index, query in enumerate(queries)]), torch.cat(queries)


def counts(matches: list[Match], like: Tensor) -> Tensor:
    """(B,) how many matches each image has."""
    return torch.cat([like.new_full((1,), float(len(query))) for query, _ in matches])


def paired_iou(boxes: Tensor, others: Tensor) -> Tensor:
    """(M, 4) and (M, 4) cx, cy, w, h -> (M,) intersection over union."""
    boxes, others = to_corners(boxes), to_corners(others)
    size = (torch.minimum(boxes[:, 2:], others[:, 2:]) - torch.maximum(boxes[:, :2], others[:, :2])).clamp(min=0)
    intersection = size.prod(dim=1)
    areas = [(each[:, 2:] - each[:, :2]).prod(dim=1) for each in (boxes, others)]
    return intersection / (areas[0] + areas[1] - intersection)


def dice_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """(M, pixels) -> (M,): one minus twice the overlap over the sum of both areas, each with one added."""
    p = logits.sigmoid()
    return 1 - (2 * (p * targets).sum(dim=1) + 1) / (p.sum(dim=1) + targets.sum(dim=1) + 1)


def mask_targets(masks: Tensor, shape: tuple[int, int], stride: int) -> Tensor:
    """masks (G, h, w) bool of the unpadded image -> (G, *shape) float: every stride-th pixel from stride / 2 on."""
    padded = masks.new_zeros(len(masks), shape[0] * stride, shape[1] * stride)
    padded[:, : masks.shape[1], : masks.shape[2]] = masks
    return padded[:, stride // 2 :: stride, stride // 2 :: stride].float()
