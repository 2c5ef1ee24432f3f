"""Mixing of labelled points: the share of nearest neighbours with another label, against chance and permutations."""

from __future__ import annotations

import numpy as np

PERMUTATIONS = 2000
DRAWS = 2000
CONFIDENCE = 0.95


def neighbours(cosines: np.ndarray, k: int) -> np.ndarray:
    """cosines (P, P) -> (P, k) the k nearest other points of each; of equally near ones the first."""
    others = cosines - np.diag(np.full(len(cosines), np.inf))
    return np.argsort(-others, axis=1, kind="stable")[:, :k]


def foreign_share(near: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """near (P, k), labels (P,) -> (P,): the share of neighbours with another label over the share chance gives.

    Chance: that of all other points with another label. 1 is mixed, 0 segregated; nan where every other point is
    foreign or none is.
    """
    labels = np.asarray(labels)
    foreign = (labels[near] != labels[:, None]).mean(axis=1)
    expected = (labels[:, None] != labels).sum(axis=1) / (len(labels) - 1)
    return np.where((expected > 0) & (expected < 1), foreign / np.where(expected > 0, expected, 1), np.nan)


def balanced_mean(values: np.ndarray, labels: np.ndarray) -> float:
    """Mean over labels of the mean over their points; labels without a number are left out, nan if all are."""
    means = [values[(labels == label) & ~np.isnan(values)] for label in np.unique(labels)]
    means = [group.mean() for group in means if len(group)]
    return float(np.mean(means)) if means else float("nan")


def mixing(near: np.ndarray, labels: np.ndarray) -> float:
    """`foreign_share`, averaged per label, then over labels."""
    return balanced_mean(foreign_share(near, labels), labels)


def permutation_p(
    near: np.ndarray, labels: np.ndarray, units: np.ndarray, seed: int, draws: int = PERMUTATIONS
) -> float:
    """Permutation p value: how often permuted labels mix as little as these or less, (1 + as extreme) / (1 + draws).

    `units` (P,): points of one unit keep one label. With a unit for each point the classes are exchanged, with the
    datasets as units whole datasets, so that what a dataset's classes share cannot pass for a domain.
    """
    labels, observed = np.asarray(labels), mixing(near, labels)
    _, first, unit_of = np.unique(units, return_index=True, return_inverse=True)
    random, extreme = np.random.default_rng(seed), 0
    for _ in range(draws):
        dealt = random.permutation(labels[first])[unit_of]
        extreme += mixing(near, dealt) <= observed + 1e-12
    return (1 + extreme) / (1 + draws)


def interval(values: np.ndarray, labels: np.ndarray, seed: int, draws: int = DRAWS) -> tuple[float, float]:
    """95 % percentile bootstrap interval of `balanced_mean`: points drawn anew within each label.

    A point keeps the value it has among all points: a drawn copy is not its own neighbour.
    """
    random = np.random.default_rng(seed)
    groups = [values[(labels == label) & ~np.isnan(values)] for label in np.unique(labels)]
    groups = [group for group in groups if len(group)]
    if not groups:
        return float("nan"), float("nan")
    means = [group[random.integers(len(group), size=(draws, len(group)))].mean(axis=1) for group in groups]
    low, high = np.quantile(np.mean(means, axis=0), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
