"""Intersection over union of class maps: counts over all pixels of a test set, then one number a class, and their mean.

As in semantic segmentation since PASCAL VOC (Everingham et al. 2010, section 4.2) and mmsegmentation's `mIoU`: pixels
are counted over all pictures together, not picture by picture; pixels without a class count nowhere.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from cones.data.class_maps import IGNORED
from cones.runtime.errors import ConesError

if TYPE_CHECKING:
    import numpy as np


class MeanIoU(NamedTuple):
    """In per cent.

    mean       over the classes that have a number
    per_class  in label order; None for a class that stands in no map and was never answered
    absent     names of these
    accuracy   share of labelled pixels whose answer is right
    """

    mean: float
    per_class: list[float | None]
    absent: list[str]
    accuracy: float


class PixelCounts:
    """Of K classes: how many pixels are theirs, how many were answered so, and how many of these are right."""

    def __init__(self, classes: int):
        self.truth, self.answers, self.right = ([0] * classes for _ in range(3))

    def add(self, answers: np.ndarray, truth: np.ndarray) -> None:
        """Count a picture's pixels: (height, width) whole numbers of classes, `truth` with IGNORED where there is none.

        ConesError for maps of different sizes or an answer that is no class.
        """
        import numpy as np

        if answers.shape != truth.shape:
            raise ConesError("answers and truth are not of one picture", expected=truth.shape, found=answers.shape)
        labelled = truth != IGNORED
        answers, truth, classes = answers[labelled], truth[labelled], len(self.truth)
        if answers.size and not 0 <= int(answers.min()) <= int(answers.max()) < classes:
            raise ConesError("an answer is no class", expected=f"0 to {classes - 1}", found=int(answers.max()))
        for counts, labels in (
            (self.truth, truth),
            (self.answers, answers),
            (self.right, truth[answers == truth]),
        ):
            for label, count in enumerate(np.bincount(labels, minlength=classes).tolist()):
                counts[label] += count

    def score(self, names: Sequence[str]) -> MeanIoU:
        """ConesError without a labelled pixel."""
        if not sum(self.truth):
            raise ConesError("no labelled pixel to score", next_step="look at the class maps of the test split")
        unions = [truth + answers - right for truth, answers, right in zip(self.truth, self.answers, self.right)]
        per_class = [100 * right / union if union else None for right, union in zip(self.right, unions)]
        known = [value for value in per_class if value is not None]
        return MeanIoU(
            mean=math.fsum(known) / len(known),
            per_class=per_class,
            absent=[name for name, value in zip(names, per_class) if value is None],
            accuracy=100 * sum(self.right) / sum(self.truth),
        )
