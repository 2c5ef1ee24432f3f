"""The points of Figure 4: one vector per class of every dataset, with its domain."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

NATURAL, MEDICAL = "natural", "medical"
DOMAINS = {"natural": NATURAL, "non_radiology": MEDICAL, "radiology": MEDICAL}  # segmentation sets: another base model


@dataclass(frozen=True)
class ClassPoints:
    """Class vectors (P, D), float64, of length one, with the dataset, group and name (P,) of each."""

    vectors: np.ndarray
    datasets: np.ndarray
    groups: np.ndarray
    names: np.ndarray

    @classmethod
    def of(cls, parts: Iterable[tuple[str, str, list[str], np.ndarray]]) -> ClassPoints:
        """From (dataset, group, class names, vectors (K, D)) of each dataset; groups outside DOMAINS are left out."""
        parts = [part for part in parts if part[1] in DOMAINS]
        vectors = [np.asarray(vectors, dtype=np.float64) for *_, vectors in parts]
        stacked = np.concatenate(vectors) if vectors else np.zeros((0, 1))
        return cls(
            vectors=stacked / np.linalg.norm(stacked, axis=1, keepdims=True),
            datasets=np.array([dataset for dataset, _, names, _ in parts for _ in names], dtype=str),
            groups=np.array([group for _, group, names, _ in parts for _ in names], dtype=str),
            names=np.array([name for *_, names, _ in parts for name in names], dtype=str),
        )

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def domains(self) -> np.ndarray:
        return np.array([DOMAINS[group] for group in self.groups], dtype=str)

    @property
    def cosines(self) -> np.ndarray:
        """The cosine of every pair of points (P, P)."""
        return self.vectors @ self.vectors.T


def count_of(values: np.ndarray, value: str) -> int:
    return int((values == value).sum())
