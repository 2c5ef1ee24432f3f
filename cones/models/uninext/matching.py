"""Match queries to objects: SimOTA for decoder layers, Hungarian for proposals (docs/spec/uninext.md 11)."""

import torch
from torch import Tensor

from cones.models.layers.boxes import pairwise_giou, pairwise_iou, to_corners
from cones.models.layers.matching import UNKNOWN, Match, focal_cost, one_to_one
from cones.runtime.devices import float32_product

CENTRE_RADIUS = 2.5 / 32  # in shares of the image, whatever its size
NOT_INSIDE, FAR_FROM_ALL, TAKEN = 100.0, 10000.0, 100000.0  # added to a cost
CANDIDATES = 10


@torch.no_grad()
def simota(logits: Tensor, boxes: Tensor, positive: Tensor, objects: Tensor) -> Match:
    """logits (Q, L), boxes (Q, 4); positive (G, L) bool, objects (G, 4); boxes cx, cy, w, h in shares of the image.

    Every object gets as many queries as its ten best IoUs add up to, at least one, if there are enough queries.
    """
    if len(objects) == 0:
        empty = torch.empty(0, dtype=torch.int64, device=boxes.device)
        return empty, empty
    share = positive.to(logits.dtype) / positive.sum(dim=1, keepdim=True)  # (G, L)
    cost = float32_product(focal_cost(logits), share.T)  # (Q, G)
    corners, wanted = to_corners(boxes), to_corners(objects)
    cost = cost - 3 * pairwise_giou(corners, wanted) + where_cost(boxes[:, :2], objects, wanted)
    iou = pairwise_iou(corners, wanted)
    numbers = iou.topk(min(CANDIDATES, len(iou)), dim=0).values.sum(dim=0).int().clamp(min=1)  # (G,)
    return assign(cost, numbers)


def where_cost(centres: Tensor, objects: Tensor, corners: Tensor) -> Tensor:
    """centres (Q, 2), objects (G, 4) in both forms -> (Q, G): what it costs not to lie in the middle of an object."""
    inside = ((centres[:, None] > corners[:, :2]) & (centres[:, None] < corners[:, 2:])).all(dim=-1)  # (Q, G)
    near = ((centres[:, None] - objects[:, :2]).abs() < CENTRE_RADIUS).all(dim=-1)  # (Q, G)
    nowhere = ~(inside | near).any(dim=1, keepdim=True)  # (Q, 1)
    return NOT_INSIDE * ~(inside & near) + FAR_FROM_ALL * nowhere


def assign(cost: Tensor, numbers: Tensor) -> Match:
    """cost (Q, G): object g takes its numbers[g] cheapest queries; a query keeps the cheapest of its objects.

    An object left with none takes the cheapest free query, until every object has one or no query is free.
    """
    cost = cost.nan_to_num(nan=UNKNOWN, posinf=UNKNOWN)
    taken = torch.zeros_like(cost, dtype=torch.bool)  # (Q, G)
    for column, number in enumerate(numbers.tolist()):
        taken[cost[:, column].topk(min(number, len(cost)), largest=False).indices, column] = True
    keep_cheapest(taken, cost)
    while (left := (~taken.any(dim=0)).nonzero().flatten()).numel() and not taken.any(dim=1).all():
        cost = cost + TAKEN * taken.any(dim=1, keepdim=True)
        taken[cost[:, left].argmin(dim=0), left] = True
        keep_cheapest(taken, cost)
    queries, objects = taken.nonzero(as_tuple=True)
    return queries, objects


def keep_cheapest(taken: Tensor, cost: Tensor) -> None:
    """A query of several objects stays with the object for which it costs least; in place."""
    several = taken.sum(dim=1) > 1
    taken[several] = torch.nn.functional.one_hot(cost[several].argmin(dim=1), cost.shape[1]).bool()


@torch.no_grad()
def hungarian(logits: Tensor, boxes: Tensor, objects: Tensor) -> Match:
    """logits (N,) of being an object, boxes (N, 4) and objects (G, 4) cx, cy, w, h -> one token for each object."""
    cost = 2 * focal_cost(logits)[:, None] + 5 * torch.cdist(boxes, objects, p=1)
    cost = cost - 2 * pairwise_giou(to_corners(boxes), to_corners(objects))
    return one_to_one(cost)
