"""Numbers of a method chosen on the labels of the validation images: the first of the best settings of a grid.

As in the published loops a setting replaces the best one only if it is better than that and than no right answer at
all: where none is ever right, all numbers are 0.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cones.methods.classifier import Choice


def right_answers(logits: Tensor, labels: Tensor) -> Tensor:
    """How many of n images are right: logits (..., n, K), labels (n,) -> (...)."""
    return (logits.argmax(-1) == labels).sum(-1)


def percent(right: Tensor | int, images: int) -> float:
    return round(100 * float(right) / images, 4)


def first_best(name: str, values: Sequence[float], logits: Callable[[float], Tensor], labels: Tensor) -> Choice:
    """The first of the values with the most right answers; `logits(value)` are (n, K)."""
    right = torch.stack([right_answers(logits(value), labels) for value in values])
    return Choice(
        taken={name: values[int(right.argmax())] if right.any() else 0.0},
        tried=[{name: value, "accuracy": percent(one, len(labels))} for value, one in zip(values, right)],
        ties=int((right == right.max()).sum()) - 1,
    )


def first_best_pair(
    names: tuple[str, str],
    outer: Sequence[float],
    inner: Sequence[float],
    logits: Callable[[float], Tensor],
    labels: Tensor,
) -> Choice:
    """As `first_best`, on a grid of two numbers: the first in the order of the published double loops, the inner one
    fastest. `logits(value of outer)` are those of all inner values at once, (inner, n, K)."""
    # written into one tensor: small results kept one by one leave no room to use the large ones' memory again
    right = torch.empty(len(outer), len(inner), dtype=torch.int64, device=labels.device)
    for row, value in zip(right, outer):
        row.copy_(right_answers(logits(value), labels))
    each = right.max(1)
    row = int(each.values.argmax())
    best = (outer[row], inner[int(right[row].argmax())]) if right.any() else (0.0, 0.0)
    tried = [
        {names[0]: value, names[1]: inner[int(one.argmax())], "accuracy": percent(one.max(), len(labels))}
        for value, one in zip(outer, right)
    ]
    return Choice(dict(zip(names, best)), tried, int((right == right.max()).sum()) - 1)
