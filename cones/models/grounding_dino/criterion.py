"""The loss terms of the family, as sums that stay exact however a batch is cut (docs/spec/grounding_dino.md, 3).

transformers' loss is not reproduced where it is wrong: its encoder terms use the learnt queries and the unfused text,
and its targets are shifted where the captions of a batch differ.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from cones.models.grounding_dino.config import Weights
from cones.models.grounding_dino.decoder import QueryOutput
from cones.models.grounding_dino.matching import matching_cost
from cones.models.layers.boxes import to_corners
from cones.models.layers.matching import Match, one_to_one
from cones.models.losses import LossTerm, LossTerms, giou_loss, sigmoid_focal_loss
from cones.runtime.devices import full_precision

Group = Literal["classification", "box"]
GROUPS: tuple[Group, ...] = ("classification", "box")  # as the paper's Table 4 leaves them out
KINDS: dict[str, Group] = {"loss_ce": "classification", "loss_bbox": "box", "loss_giou": "box"}


@dataclass
class Truth:
    """One image: boxes (G, 4) cx, cy, w, h in shares of the image; positive (G, L) bool, the rows of each object."""

    boxes: Tensor
    positive: Tensor


def suffixes(layers: int) -> list[str]:
    """Of each decoder layer: "_0", "_1", … and "" for the last; then "_enc" for the selection."""
    return [*(f"_{layer}" for layer in range(layers - 1)), "", "_enc"]


def term_names(layers: int, groups: tuple[Group, ...]) -> list[str]:
    """Every term of a model with so many decoder layers, of some groups."""
    return [f"{kind}{suffix}" for suffix in suffixes(layers) for kind, group in KINDS.items() if group in groups]


def loss_terms(
    outputs: list[QueryOutput],
    truths: list[Truth],
    rows: Tensor,
    *,
    cost: Weights,
    loss: Weights,
    groups: tuple[Group, ...],
) -> LossTerms:
    """outputs: of each decoder layer, then of the selection; rows (B, L) bool, the rows of the text that are there.

    Every term is a sum over the images, divided by the number of objects of the batch; an image without objects adds to
    "loss_ce" alone. `groups` are the terms wanted; matching does not depend on them.
    """
    objects = rows.new_tensor(float(sum(len(truth.boxes) for truth in truths)), dtype=torch.float32)
    weights = {"loss_ce": loss.classification, "loss_bbox": loss.box, "loss_giou": loss.giou}
    wanted = [kind for kind, group in KINDS.items() if group in groups]
    terms, matches = {}, match(outputs, truths, cost)
    for output, served, suffix in zip(outputs, matches, suffixes(len(outputs) - 1), strict=True):
        sums = layer_sums(output, served, truths, rows)
        terms |= {f"{kind}{suffix}": LossTerm(weights[kind] * sums[kind], objects) for kind in wanted}
    return terms


def match(outputs: list[QueryOutput], truths: list[Truth], cost: Weights) -> list[list[Match]]:
    """Of each output, of each image: which query answers for which object, one to one."""
    costs = [
        matching_cost(logits, boxes, truth.positive, truth.boxes, cost)
        for output in outputs
        for logits, boxes, truth in zip(full_precision(output.logits), output.boxes, truths)
    ]
    matches = one_to_one(costs)
    return [matches[first : first + len(truths)] for first in range(0, len(matches), len(truths))]


def layer_sums(output: QueryOutput, matches: list[Match], truths: list[Truth], rows: Tensor) -> dict[str, Tensor]:
    """{kind: unweighted sum over all images}; matches and truths of each image."""
    logits, boxes = full_precision(output.logits), output.boxes  # (B, Q, L), (B, Q, 4)
    positive = torch.zeros_like(logits)  # (B, Q, L)
    chosen, objects = [], []
    for image, (truth, (query, served)) in enumerate(zip(truths, matches)):
        positive[image, query] = truth.positive[served].to(logits.dtype)
        chosen.append(boxes[image, query])
        objects.append(truth.boxes[served])
    chosen, objects = torch.cat(chosen), torch.cat(objects)  # (M, 4) each
    focal = sigmoid_focal_loss(logits, positive).masked_fill(~rows[:, None], 0.0)  # (B, Q, L)
    return {
        "loss_ce": focal.sum(),
        "loss_bbox": (chosen - objects).abs().sum(),
        "loss_giou": giou_loss(to_corners(chosen), to_corners(objects)).sum(),
    }
