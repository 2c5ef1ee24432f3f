"""Maps of class vectors to two dimensions, for figures; numbers come from the original space."""

from __future__ import annotations

import warnings

import numpy as np

NEIGHBOURS, MIN_DIST = 15, 0.1


def principal_components(vectors: np.ndarray, count: int) -> np.ndarray:
    """vectors (P, D) -> (P, c), c = `count` or as many as there are; signs fixed, so that a map is always the same."""
    centred = vectors - vectors.mean(axis=0)
    left, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    largest = np.abs(axes).argmax(axis=1)
    return (left * sizes * np.sign(axes[np.arange(len(axes)), largest]))[:, :count]


def pca_map(vectors: np.ndarray) -> np.ndarray:
    """(P, D) -> (P, 2); a missing second component is zero."""
    components = principal_components(vectors, 2)
    return np.pad(components, ((0, 0), (0, 2 - components.shape[1])))


def umap_map(vectors: np.ndarray, seed: int, *, neighbours: int = NEIGHBOURS, metric: str = "cosine") -> np.ndarray:
    """(P, D) -> (P, 2): UMAP (McInnes et al. 2018) with a fixed seed, hence on one thread. Few points give fewer
    neighbours; below four there is no neighbourhood to keep and the map is that of the principal components.
    """
    if len(vectors) < 4:
        return pca_map(vectors)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it announces that a seed means one thread
        import umap

        fit = umap.UMAP(
            n_neighbors=min(neighbours, len(vectors) - 1),
            min_dist=MIN_DIST,
            metric=metric,
            random_state=seed,
            n_jobs=1,
        )
        return np.asarray(fit.fit_transform(vectors))
