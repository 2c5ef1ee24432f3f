"""Accuracy of predicted classes, in per cent: of all pictures, of each class, of base and new classes, over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from cones.evaluation.seeds import OverSeeds, over_seeds
from cones.runtime.errors import ConesError

if TYPE_CHECKING:
    from torch import Tensor


class Accuracy(NamedTuple):
    """Accuracy on one set of test pictures, in per cent.

    top1       share of pictures whose first choice is their class
    per_class  the same of each class's pictures, in label order; None for a class without a test picture
    absent     names of the classes without a test picture, which `class_mean` leaves out
    """

    top1: float
    per_class: list[float | None]
    absent: list[str]

    @property
    def class_mean(self) -> float:
        """The mean of the accuracies of the classes that have test pictures."""
        known = [value for value in self.per_class if value is not None]
        return math.fsum(known) / len(known)


def accuracy(predicted: Tensor, labels: Tensor, classes: Sequence[str]) -> Accuracy:
    """Accuracy of predicted labels (n,) against true ones (n,), both places in `classes`.

    ConesError without pictures, for lists of different lengths, or for a label that is no class.
    """
    _require_labels(predicted, labels, len(classes))
    is_right = (predicted == labels).double()
    counts = labels.bincount(minlength=len(classes)).tolist()
    right = labels.bincount(weights=is_right, minlength=len(classes)).tolist()
    per_class = [100 * hits / count if count else None for hits, count in zip(right, counts)]
    absent = [name for name, count in zip(classes, counts) if not count]
    return Accuracy(100 * math.fsum(right) / len(labels), per_class, absent)


def first_choices(logits: Tensor) -> Tensor:
    """(n, K) logits -> (n,) the class of the largest, of equal ones the first. ConesError for logits that are not
    finite: their largest would be a class like any other."""
    finite = logits.isfinite().all(dim=1)
    if not finite.all():
        raise ConesError(
            "logits that are not finite",
            found=f"{int((~finite).sum())} of {len(logits)} pictures, the first at row {int((~finite).nonzero()[0])}",
            next_step="look at the tuning's log: its loss or learning rate went wrong",
        )
    return logits.argmax(dim=1)


def harmonic_mean(base: float, new: float) -> float:
    """H = 2 base new / (base + new) of two accuracies in per cent; 0 if both are 0 (CoCoOp, Zhou et al. 2022)."""
    return 2 * base * new / (base + new) if base + new else 0.0


def harmonic_mean_over_seeds(base: Sequence[float], new: Sequence[float]) -> OverSeeds:
    """H of each seed's two accuracies, averaged over the seeds with its t interval."""
    return over_seeds([harmonic_mean(*pair) for pair in zip(base, new, strict=True)])


def chance(classes: int) -> float:
    """The accuracy of guessing among so many classes, in per cent."""
    return 100 / classes


def _require_labels(predicted: Tensor, labels: Tensor, classes: int) -> None:
    if not len(labels):
        raise ConesError("no test picture to score", next_step="look at the dataset's test split: datasets show NAME")
    if predicted.shape != labels.shape:
        raise ConesError(
            "predictions and labels are not of the same pictures",
            expected=f"{len(labels)} predictions",
            found=len(predicted),
            next_step="delete the cell's predictions and score it again",
        )
    for what, values in (("a predicted label", predicted), ("a label", labels)):
        low, high = int(values.min()), int(values.max())
        if low < 0 or high >= classes:
            raise ConesError(
                f"{what} is no class",
                expected=f"0 to {classes - 1}",
                found=low if low < 0 else high,
                next_step="the predictions are of other classes: score the cell again",
            )
