"""The numbers of Figure 4: how far natural and medical class vectors blend, per method and control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

import numpy as np

from cones.outputs.analysis.mixing import balanced_mean, foreign_share, interval, mixing, neighbours, permutation_p
from cones.outputs.analysis.points import MEDICAL, NATURAL, ClassPoints, count_of
from cones.outputs.analysis.probe import probe, silhouettes

NEAREST = (5, 10)


@dataclass(frozen=True)
class VectorSet:
    """The class vectors of a model, arm (or the isolated class names) and seed; `datasets` "20/21", `notes` on gaps."""

    model: str
    vectors: str
    seed: int
    points: ClassPoints
    datasets: str
    notes: str | None = None


def blending(points: ClassPoints, seed: int) -> dict[str, float | int | None]:
    """All numbers of one set except its stability; None where there are not two domains with enough classes."""
    domains = points.domains
    numbers: dict = {"natural": count_of(domains, NATURAL), "medical": count_of(domains, MEDICAL)}
    per_point = {}
    for k in NEAREST:
        if k < len(points):
            per_point[f"mixing_{k}"] = foreign_share(neighbours(points.cosines, k), domains)
    if min(numbers["natural"], numbers["medical"]) > 1:
        per_point |= {
            "probe": probe(points.vectors, domains, seed),
            "silhouette": silhouettes(points.vectors, domains),
        }
    for name, values in per_point.items():
        low, high = interval(values, domains, seed)
        numbers |= {name: balanced_mean(values, domains), f"{name}_low": low, f"{name}_high": high}
    if len(points) > NEAREST[0]:
        near = neighbours(points.cosines, NEAREST[0])
        if min(numbers["natural"], numbers["medical"]):
            numbers["p_classes"] = permutation_p(near, domains, np.arange(len(points)), seed)
            numbers["p_datasets"] = permutation_p(near, domains, points.datasets, seed)
        numbers["dataset_mixing"] = mixing(near, points.datasets)
    return {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in numbers.items()}


def stability(seeds: Sequence[VectorSet]) -> float | None:
    """Correlation of the class-by-class cosines of two seeds, mean over pairs: near 1 if structure is learned, near 0
    if it is random. Over the classes that every seed has; None for one seed or fewer than three classes.
    """
    classes = [
        dict(zip(zip(vector_set.points.datasets, vector_set.points.names), vector_set.points.vectors))
        for vector_set in seeds
    ]
    shared = [name for name in classes[0] if all(name in mine for mine in classes)]
    if len(seeds) < 2 or len(shared) < 3:
        return None
    above = np.triu_indices(len(shared), k=1)
    vectors = [np.stack([mine[name] for name in shared]) for mine in classes]  # (classes, D) of each seed
    cosines = [(matrix @ matrix.T)[above] for matrix in vectors]
    return fmean(float(np.corrcoef(a, b)[0, 1]) for a, b in combinations(cosines, 2))
