"""Matching queries with objects: what a match is, what a class costs, and the cheapest one to one."""

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

UNKNOWN = 1e9  # a cost that is no number: of a diverged model, whose loss is what tells, not a search
Match = tuple[Tensor, Tensor]  # indices (M,) int64 of queries, ascending, and of the object that each one serves


def focal_cost(logits: Tensor) -> Tensor:
    """What calling an element positive would cost, less what calling it negative costs; shaped as `logits`."""
    p = logits.sigmoid()
    positive = 0.25 * (1 - p) ** 2 * -(p + 1e-8).log()
    negative = 0.75 * p**2 * -(1 - p + 1e-8).log()
    return positive - negative


def one_to_one(cost: Tensor) -> Match:
    """cost (Q, G) -> the cheapest min(Q, G) pairs of a query and an object."""
    queries, objects = linear_sum_assignment(cost.nan_to_num(nan=UNKNOWN, posinf=UNKNOWN).cpu().numpy())
    return torch.from_numpy(queries).to(cost.device), torch.from_numpy(objects).to(cost.device)
