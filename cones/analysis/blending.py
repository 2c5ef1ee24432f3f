"""The numbers beside Figure 4: how far natural and medical class vectors blend, per method and control."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from cones.analysis.blending_sheet import MEASURES
from cones.analysis.mixing import balanced_mean, foreign_share, interval, mixing, neighbours, permutation_p
from cones.analysis.points import MEDICAL, NATURAL, ClassPoints, count_of
from cones.analysis.probe import probe, silhouettes

if TYPE_CHECKING:
    from pandas import DataFrame

NEAREST = (5, 10)
COLUMNS = (
    *("suite", "model", "vectors", "seed", "natural", "medical", "datasets"),
    *(f"{measure}{part}" for measure in MEASURES for part in ("", "_low", "_high")),
    *("p_classes", "p_datasets", "dataset_mixing", "stability", "notes"),
)


@dataclass(frozen=True)
class VectorSet:
    """The class vectors of a model, arm (or the isolated class names) and seed; `datasets` "20/21", `notes` on gaps."""

    model: str
    vectors: str
    seed: int
    points: ClassPoints
    datasets: str
    notes: str | None = None


def blending_table(sets: Sequence[VectorSet], *, suite: str, seed: int = 0) -> DataFrame:
    """COLUMNS, one row per set of the first seed each model and arm has; the other seeds go into `stability`.

    mixing_k    share of the k cosine neighbours from the other domain over that expected by chance, averaged per
                domain, then over both: 1 blended, 0 segregated. `_low`, `_high`: 95 % bootstrap over classes of each
    probe       balanced accuracy of a linear classifier of domains: 0.5 blended, 1 segregated
    silhouette  of the domains, cosine: at most 0 blended
    p_classes, p_datasets   permutation p of mixing_5: single classes, or whole datasets, exchange their domain
    dataset_mixing          mixing_5 with datasets as labels: below 1 where what a dataset's classes share shows
    stability   `stability` over the seeds there are
    """
    import pandas as pd

    first: dict[tuple[str, str], list[VectorSet]] = {}
    for one in sets:
        first.setdefault((one.model, one.vectors), []).append(one)
    rows = []
    for seeds in first.values():
        one = seeds[0]
        names = {"suite": suite, "model": one.model, "vectors": one.vectors, "seed": one.seed}
        numbers = blending(one.points, seed)
        rows.append({**names, "datasets": one.datasets, **numbers, "stability": stability(seeds), "notes": one.notes})
    return pd.DataFrame(rows, columns=list(COLUMNS))


def blending(points: ClassPoints, seed: int) -> dict[str, float | int | None]:
    """Every number of one set but its stability; None where there are not two domains with enough classes."""
    domains = points.domains
    found: dict = {"natural": count_of(domains, NATURAL), "medical": count_of(domains, MEDICAL)}
    per_point = {}
    for k in NEAREST:
        if k < len(points):
            per_point[f"mixing_{k}"] = foreign_share(neighbours(points.cosines, k), domains)
    if min(found["natural"], found["medical"]) > 1:
        per_point |= {
            "probe": probe(points.vectors, domains, seed),
            "silhouette": silhouettes(points.vectors, domains),
        }
    for name, values in per_point.items():
        low, high = interval(values, domains, seed)
        found |= {name: balanced_mean(values, domains), f"{name}_low": low, f"{name}_high": high}
    if len(points) > NEAREST[0]:
        near = neighbours(points.cosines, NEAREST[0])
        if min(found["natural"], found["medical"]):
            found["p_classes"] = permutation_p(near, domains, np.arange(len(points)), seed)
            found["p_datasets"] = permutation_p(near, domains, points.datasets, seed)
        found["dataset_mixing"] = mixing(near, points.datasets)
    return {name: None if isinstance(value, float) and np.isnan(value) else value for name, value in found.items()}


def stability(seeds: Sequence[VectorSet]) -> float | None:
    """Correlation of the class-by-class cosines of two seeds, mean over pairs: near 1 if structure is learned, near 0
    if it is random. Over the classes that every seed has; None for one seed or fewer than three classes.
    """
    classes = [dict(zip(zip(one.points.datasets, one.points.names), one.points.vectors)) for one in seeds]
    shared = [name for name in classes[0] if all(name in mine for mine in classes)]
    if len(seeds) < 2 or len(shared) < 3:
        return None
    above = np.triu_indices(len(shared), k=1)
    vectors = [np.stack([mine[name] for name in shared]) for mine in classes]  # (classes, D) of each seed
    cosines = [(each @ each.T)[above] for each in vectors]
    return fmean(float(np.corrcoef(a, b)[0, 1]) for a, b in combinations(cosines, 2))
