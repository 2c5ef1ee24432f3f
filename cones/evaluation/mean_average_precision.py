"""Mean average precision of several classes a picture: how well each class's scores put its pictures first.

Average precision without interpolation: the sum over score thresholds of precision times the rise in recall, equal
scores being one threshold (as scikit-learn's `average_precision_score`; DualCoOp's and TaI-DPT's evaluators agree where
no scores are equal). Pascal VOC 2007 itself interpolated at eleven points, which neither of them does.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from cones.runtime.errors import ConesError

if TYPE_CHECKING:
    from torch import Tensor


class MeanAveragePrecision(NamedTuple):
    """In per cent.

    mean       over the classes that have one; None where no class has
    per_class  in label order; None for a class without a positive
    absent     names of the classes without a positive
    """

    mean: float | None
    per_class: list[float | None]
    absent: list[str]


def mean_average_precision(scores: Tensor, labels: Tensor, classes: Sequence[str]) -> MeanAveragePrecision:
    """Scores (n, K) against labels (n, K): 1, 0, or -1, which leaves a picture out of its class.

    ConesError for scores of another shape, or that are not finite: they have no order.
    """
    if scores.shape != labels.shape:
        raise ConesError(
            "scores and labels are not of the same pictures and classes",
            expected=tuple(labels.shape),
            found=tuple(scores.shape),
            next_step="delete the cell's predictions and score it again",
        )
    if not (finite := scores.isfinite().all(dim=1)).all():
        raise ConesError(
            "scores that are not finite",
            found=f"{int((~finite).sum())} of {len(scores)} pictures, the first at row {int((~finite).nonzero()[0])}",
            next_step="look at the tuning's log: its loss or learning rate went wrong",
        )
    per_class = [average_precision(scores[:, place], labels[:, place]) for place in range(len(classes))]
    known = [value for value in per_class if value is not None]
    return MeanAveragePrecision(
        math.fsum(known) / len(known) if known else None,
        per_class,
        [name for name, value in zip(classes, per_class, strict=True) if value is None],
    )


def average_precision(scores: Tensor, labels: Tensor) -> float | None:
    """Of one class, in per cent: scores (n,) and labels (n,) of 1, 0, -1 (left out). None without a positive."""
    known = labels >= 0
    scores, is_positive = scores[known].double(), (labels[known] == 1).double()
    if not is_positive.any():
        return None
    order = scores.argsort(descending=True, stable=True)
    scores, is_positive = scores[order], is_positive[order]
    is_last = scores != scores.roll(-1)  # of equal ones
    is_last[-1] = True
    ranks = is_last.nonzero().flatten()
    hits = is_positive.cumsum(0)[ranks]
    precision, recall = hits / (ranks + 1), hits / hits[-1]
    rise = recall.diff(prepend=recall.new_zeros(1))
    return 100 * float((precision * rise).sum())
