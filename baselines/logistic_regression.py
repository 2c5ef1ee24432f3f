"""Logistic regressions of scikit-learn on labelled features, for the linear probe."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cones.methods.classifier import LabelledFeatures

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

NEVER = -1e9  # logit of a class without a training image


class Fits:
    """Logistic regressions of one training set by their C, each fitted once."""

    def __init__(self, train: LabelledFeatures, val: LabelledFeatures):
        self.images, self.labels = train.features.pooled.cpu().double().numpy(), train.labels.cpu().numpy()
        self.val_images, self.val_labels = val.features.pooled.cpu().double().numpy(), val.labels.cpu().numpy()
        self.fitted: dict[float, LogisticRegression] = {}

    def at(self, strength: float) -> LogisticRegression:
        from sklearn.linear_model import LogisticRegression  # a second to import

        if strength not in self.fitted:
            model = LogisticRegression(solver="lbfgs", max_iter=1000, C=strength)
            self.fitted[strength] = model.fit(self.images, self.labels)
        return self.fitted[strength]

    def accuracy(self, strength: float) -> float:
        """Per cent of the validation images."""
        return 100 * float((self.at(strength).predict(self.val_images) == self.val_labels).mean())

    def write(self, strength: float, weight: Tensor, bias: Tensor) -> None:
        """Copy a fit into weight (K, d) and bias (K,). Of two classes scikit-learn has one row, the logit of the second
        over the first."""
        model = self.at(strength)
        rows, shifts = torch.from_numpy(model.coef_), torch.from_numpy(model.intercept_)
        if len(model.classes_) == 2:
            rows, shifts = torch.cat([-rows / 2, rows / 2]), torch.cat([-shifts / 2, shifts / 2])
        bias.fill_(NEVER)
        weight[model.classes_], bias[model.classes_] = rows.to(weight), shifts.to(bias)


class BinaryFits:
    """A regression for each class, of the images whose label of it is known; each fitted once by its C."""

    def __init__(self, train: LabelledFeatures):
        self.images, self.labels = train.features.pooled.cpu().double().numpy(), train.labels.cpu().numpy()
        self.fitted: dict[float, list[tuple[Tensor | float, float]]] = {}

    def write(self, strength: float, weight: Tensor, bias: Tensor) -> None:
        """Copy all fits of a C into weight (K, d) and bias (K,)."""
        if strength not in self.fitted:
            self.fitted[strength] = [self._fit(strength, place) for place in range(self.labels.shape[1])]
        for place, (row, shift) in enumerate(self.fitted[strength]):
            weight[place], bias[place] = row, shift

    def _fit(self, strength: float, place: int) -> tuple[Tensor | float, float]:
        """(weights, bias) of one class; where all known labels are the same, or none is known, nothing is learnt and
        all images have one score."""
        from sklearn.linear_model import LogisticRegression

        known = self.labels[:, place] >= 0
        labels = self.labels[known, place]
        if len(set(labels.tolist())) < 2:
            return 0.0, 0.0
        model = LogisticRegression(solver="lbfgs", max_iter=1000, C=strength).fit(self.images[known], labels)
        return torch.from_numpy(model.coef_[0]), float(model.intercept_[0])
