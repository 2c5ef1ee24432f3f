"""The distance of Table 3 between classes and their boxes, as this project defines it, and its companion measures.

The paper does not define its distance. Its values (38 to 267) exclude cosines and unit vectors; what fits is the
Euclidean distance in the space of the dot product, where the text side has a bounded length and the visual side not.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from cones.outputs.analysis.embeddings import BoxVectors


def measures(boxes: BoxVectors, labels: Tensor) -> dict[str, float | None]:
    """All measures of one dataset; classes weigh the same, whatever the number of their boxes. labels (G,).

    d_l2         |v - u| of each box's vector v and the vector u of its class in the same image
    norm_visual, norm_class   |v|, |u|
    d_cos        1 - cos(v, u)
    d_rel        d_l2 over the mean |v - mean v|: free of the features' scale; None where all v are alike
    margin       logit of the true class minus that of the best other; None with one class
    gap          `centroid_gap`
    Empty without boxes.
    """
    if not len(labels):
        return {}
    v, u = boxes.visual.double(), boxes.own_class.double()
    distance = class_mean((v - u).norm(dim=1), labels)
    spread = class_mean((v - class_mean(v, labels)).norm(dim=1), labels).item()
    return {
        "d_l2": distance.item(),
        "norm_visual": class_mean(v.norm(dim=1), labels).item(),
        "norm_class": class_mean(u.norm(dim=1), labels).item(),
        "d_cos": class_mean(1 - F.cosine_similarity(v, u), labels).item(),
        "d_rel": distance.item() / spread if spread > 0 else None,
        "margin": _margin(boxes.logits.double(), labels),
        "gap": centroid_gap([(boxes, labels)]),
    }


def centroid_gap(parts: Sequence[tuple[BoxVectors, Tensor]]) -> float:
    """Distance of the centroids of all vectors of length one, boxes against classes (Liang et al. 2022), over one or
    several datasets; every class of every dataset weighs the same.
    """
    centroids = []
    for side in ("visual", "own_class"):
        rows = [per_class(F.normalize(getattr(boxes, side).double(), dim=1), labels) for boxes, labels in parts]
        centroids.append(torch.cat(rows).mean(dim=0))  # (C,)
    return (centroids[0] - centroids[1]).norm().item()


def per_class(values: Tensor, labels: Tensor) -> Tensor:
    """values (G, …), labels (G,) -> (classes present, …): the mean of each class."""
    return torch.stack([values[labels == label].mean(dim=0) for label in labels.unique()])


def class_mean(values: Tensor, labels: Tensor) -> Tensor:
    """The mean over classes of the mean over their boxes."""
    return per_class(values, labels).mean(dim=0)


def _margin(logits: Tensor, labels: Tensor) -> float | None:
    if logits.shape[1] < 2:
        return None
    own = F.one_hot(labels, logits.shape[1]).bool()  # (G, K)
    best_other = logits.masked_fill(own, -torch.inf).amax(dim=1)
    return class_mean(logits[own] - best_other, labels).item()
