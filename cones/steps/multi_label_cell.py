"""A cell of pictures that may show several classes: fitted on the labels that are known, scored by mAP."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cones.data.classification import LabelSetItem, label_matrix
from cones.evaluation.classification_metrics import TargetScore
from cones.evaluation.mean_average_precision import mean_average_precision
from cones.methods.classifier import ClassifierMethod
from cones.runtime.devices import peak_memory_bytes
from cones.runtime.errors import ConesError
from cones.steps.classify import CellFit
from cones.steps.labelled_cell import Target
from cones.steps.score_classifier import test_logits

DECIMALS = 6  # of a score in predictions.json


@dataclass(frozen=True)
class LabelSetScores:
    """The scores (n, K) of a target's test images, in their order."""

    target: Target
    scores: Tensor
    seconds: float

    @property
    def predictions(self) -> dict:
        """As `predictions.json` holds them."""
        return {
            "dataset": self.target.dataset,
            "classes": list(self.target.classes),
            "present": [list(item.present) for item in self.target.items],
            "unknown": [list(item.unknown) for item in self.target.items],
            "scores": [[round(value, DECIMALS) for value in row] for row in self.scores.tolist()],
        }


class MultiLabelFit(CellFit):
    """Training labels are (n, K), 1, 0 or -1; each test image has a score for each class."""

    def _labels(self, items: Sequence[LabelSetItem]) -> Tensor:
        return label_matrix(items, len(self.own.classes))

    def notes(self) -> list[str]:
        """Of which classes no present label is known, and whether a loss of pairs finds none to train on."""
        if self.method.labels == "none":
            return []
        labels = self._labels(self.few.train)
        unseen = [name for name, column in zip(self.own.classes, labels.T) if not (column == 1).any()]
        found = [f"no training picture is known to show {', '.join(unseen)}"] if unseen else []
        by_pairs = all(
            getattr(type(self.method), one) is getattr(ClassifierMethod, one) for one in ("loss_terms", "fit")
        )
        if by_pairs and not ((labels == 1).any(1) & (labels == 0).any(1)).any():
            found.append("no training picture has a class known to be there and one known not to be: nothing trained")
        return found

    @torch.no_grad()
    def score(self) -> tuple[list[LabelSetScores], dict]:
        started, target = time.monotonic(), self.own.target()
        scores, seconds = test_logits(self, target, self.classifier)
        return [LabelSetScores(target, scores, seconds)], {
            "seconds_per_image": seconds / len(target.items),
            "images": len(target.items),
            "seconds": time.monotonic() - started,
            "peak_memory_bytes": peak_memory_bytes(self.device),
        }

    def target_score(self, scored: LabelSetScores) -> TargetScore:
        """mAP in per cent over all classes that a test image shows, and the average precision of each."""
        target = scored.target
        counts = {"images": len(target.items), "classes": len(target.classes)}
        try:
            found = mean_average_precision(scored.scores, self._labels(target.items), target.classes)
        except ConesError as error:
            raise ConesError(
                error.what, where=self.cell.folder, found=error.found, next_step="lower the learning rate of its recipe"
            ) from None
        per_class = {name: value for name, value in zip(target.classes, found.per_class) if value is not None}
        reason = "no test image shows any of the classes" if found.mean is None else None
        return TargetScore(
            accuracy=None,
            mean_ap=None if found.mean is None else round(found.mean, 4),
            reason=reason,
            per_class={name: round(value, 4) for name, value in per_class.items()},
            absent=tuple(found.absent),
            **counts,
        )
