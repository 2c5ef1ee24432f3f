"""A linear classifier of natural against medical class vectors, and the silhouettes of the two domains."""

from __future__ import annotations

import numpy as np

from cones.outputs.analysis.maps import principal_components

FOLDS, REPEATS, COMPONENTS = 5, 20, 20


def probe(vectors: np.ndarray, labels: np.ndarray, seed: int) -> np.ndarray:
    """Cross-validated accuracy of a linear classifier per point: vectors (P, D), labels (P,) -> (P,).

    Class-weighted logistic regression on the first 20 principal components, stratified 5-fold cross-validation, 20
    repeats; fewer folds where a label has fewer points. Averaged per label (`balanced_mean`): 0.5 blended, 1 apart.
    The components are those of all points (they know no label), scaled by one number to a mean variance of one. nan
    where a label has fewer than two points.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold

    kinds, counts = np.unique(labels, return_counts=True)
    folds = min(FOLDS, *counts) if len(kinds) == 2 else 0
    if folds < 2:
        return np.full(len(labels), np.nan)
    components = principal_components(vectors, COMPONENTS)
    components = components / max(np.sqrt((components**2).mean()), 1e-12)
    right = np.zeros(len(labels))
    for repeat in range(REPEATS):
        split = StratifiedKFold(folds, shuffle=True, random_state=seed + repeat).split(components, labels)
        for train, held_out in split:
            model = LogisticRegression(class_weight="balanced").fit(components[train], labels[train])
            right[held_out] += model.predict(components[held_out]) == labels[held_out]
    return right / REPEATS


def silhouettes(vectors: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Silhouette of each point (P,) under cosine distance; nan where there are not two. Weak in many dimensions."""
    from sklearn.metrics import silhouette_samples

    if len(np.unique(labels)) != 2 or len(labels) < 3:
        return np.full(len(labels), np.nan)
    return silhouette_samples(vectors, labels, metric="cosine")
