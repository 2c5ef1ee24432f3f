"""What it costs to match queries with objects; SimOTA for decoder layers (docs/spec/uninext.md 11)."""

import torch
from torch import Tensor

from cones.models.layers.boxes import pairwise_giou, pairwise_iou, to_corners
from cones.models.layers.matching import Match, focal_cost, on_the_cpu
from cones.runtime.devices import float32_product

CENTRE_RADIUS = 2.5 / 32  # in shares of the image, whatever its size
NOT_INSIDE, FAR_FROM_ALL, TAKEN = 100.0, 10000.0, 100000.0  # added to a cost
CANDIDATES = 10


def simota(tables: list[Tensor]) -> list[Match]:
    """Of each table of `simota_table` the queries that every object takes, and the object of each."""
    return on_the_cpu(tables, lambda table: assign(table[:-1], table[-1].int()))


@torch.no_grad()
def simota_table(logits: Tensor, boxes: Tensor, positive: Tensor, objects: Tensor) -> Tensor:
    """logits (Q, L), boxes (Q, 4); positive (G, L) bool, objects (G, 4); boxes cx, cy, w, h in shares of the image.

    (Q + 1, G): what each pair costs, and in the last row how many queries each object gets: as many as its ten best
    IoUs add up to, at least one.
    """
    share = positive.to(logits.dtype) / positive.sum(dim=1, keepdim=True)  # (G, L)
    cost = float32_product(focal_cost(logits), share.T)  # (Q, G)
    corners, wanted = to_corners(boxes), to_corners(objects)
    cost = cost - 3 * pairwise_giou(corners, wanted) + where_cost(boxes[:, :2], objects, wanted)
    iou = pairwise_iou(corners, wanted)
    numbers = iou.topk(min(CANDIDATES, len(iou)), dim=0).values.sum(dim=0).int().clamp(min=1)  # (G,)
    return torch.cat([cost, numbers[None].to(cost.dtype)])


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
    taken = torch.zeros_like(cost, dtype=torch.bool)  # (Q, G)
    if not len(numbers):
        return taken.nonzero(as_tuple=True)
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
def proposal_cost(logits: Tensor, boxes: Tensor, objects: Tensor) -> Tensor:
    """logits (N,) of being an object, boxes (N, 4) and objects (G, 4) cx, cy, w, h -> (N, G) for `one_to_one`."""
    cost = 2 * focal_cost(logits)[:, None] + 5 * torch.cdist(boxes, objects, p=1)
    return cost - 2 * pairwise_giou(to_corners(boxes), to_corners(objects))
