"""Matching queries with objects: what a match is, what a class costs, and the cheapest one to one."""

from collections.abc import Callable

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


def one_to_one(costs: list[Tensor]) -> list[Match]:
    """Of each cost (Q, G) the cheapest min(Q, G) pairs of a query and an object."""
    return on_the_cpu(costs, _hungarian)


def on_the_cpu(tables: list[Tensor], search: Callable[[Tensor], Match]) -> list[Match]:
    """What `search` finds in each table (rows, columns) on the CPU, in which no number is unknown any more.

    A GPU is waited for once: all tables come in one copy, all matches go back in one.
    """
    numbers = torch.cat([table.flatten() for table in tables]).nan_to_num(nan=UNKNOWN, posinf=UNKNOWN).cpu()
    pieces = numbers.split([table.numel() for table in tables])
    found = [torch.stack(search(piece.view(table.shape))) for piece, table in zip(pieces, tables)]  # (2, M) each
    back = torch.cat(found, dim=1).to(tables[0].device)
    return [(queries, objects) for queries, objects in back.split([pairs.shape[1] for pairs in found], dim=1)]


def _hungarian(cost: Tensor) -> Match:
    queries, objects = linear_sum_assignment(cost.numpy())
    return torch.from_numpy(queries), torch.from_numpy(objects)
