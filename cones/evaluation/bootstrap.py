"""A paired bootstrap over test images: whether one method is better than another beyond the choice of images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from cones.evaluation.coco_ap import match_detections
from cones.evaluation.seeds import CONFIDENCE
from cones.runtime.errors import ConesError

if TYPE_CHECKING:
    import numpy as np

DRAWS = 1000
ENDS = ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2)
"""The shares of draws below the two ends of an interval."""


class Difference(NamedTuple):
    """AP of `a` minus AP of `b`, its 95 % percentile interval, and the share of draws with the other sign."""

    ap_a: float
    ap_b: float
    low: float
    high: float
    other_sign: float
    images: int
    draws: int

    @property
    def difference(self) -> float:
        return self.ap_a - self.ap_b


@dataclass(frozen=True)
class _ClassMatches:
    """The matched detections of one class, best scores first.

    correct, ignored  (T, M) per IoU threshold
    image             (M,) number of each detection's image
    boxes             (I,) number of boxes of each image
    """

    correct: np.ndarray
    ignored: np.ndarray
    image: np.ndarray
    boxes: np.ndarray


class ResampledAP:
    """COCO's AP of any resample of a split's images, matched once.

    Matching happens within an image, so drawing an image twice is counting its matches twice: `ap(weights)` equals
    `evaluate_detections` on a split in which image i stands weights[i] times, up to the order of equal scores.
    """

    def __init__(self, ground_truth: dict, results: list[dict], detections_per_image: int):
        self.images, self._recall_points, matches = match_detections(ground_truth, results, detections_per_image)
        self._classes = [_ClassMatches(**class_matches) for class_matches in matches]

    def ap(self, weights: np.ndarray) -> float:
        """AP in percent of a resample, over classes with a box; weights (I,) count how often each image was drawn, by
        rising id.

        nan where no drawn image has a box.
        """
        import numpy as np

        with_boxes = (matches for matches in self._classes if (matches.boxes * weights).sum() > 0)
        values = [self._class_ap(matches, weights) for matches in with_boxes]
        return 100 * float(np.mean(values)) if values else float("nan")

    def aps(self, weights: np.ndarray) -> np.ndarray:
        """`ap` of several resamples, (draws, I) -> (draws,)."""
        import numpy as np

        return np.array([self.ap(draw) for draw in weights])

    def _class_ap(self, matches: _ClassMatches, weights: np.ndarray) -> float:
        """Interpolated precision, mean over IoU thresholds and recall points, as pycocotools accumulates it."""
        import numpy as np

        counted = ~matches.ignored * weights[matches.image]  # (T, M)
        right = np.cumsum(counted * matches.correct, axis=1)
        seen = np.cumsum(counted, axis=1)
        recall = right / (matches.boxes * weights).sum()
        precision = np.maximum.accumulate((right / np.maximum(seen, np.spacing(1)))[:, ::-1], axis=1)[:, ::-1]
        total = 0.0
        for recalls, precisions in zip(recall, precision):
            places = np.searchsorted(recalls, self._recall_points, side="left")
            total += precisions[places[places < len(precisions)]].sum()
        return total / (len(recall) * len(self._recall_points))


def image_weights(images: int, draws: int, seed: int) -> np.ndarray:
    """(draws, images): how often each image is drawn, with replacement, as many as there are."""
    import numpy as np

    random = np.random.default_rng(seed)
    return np.stack([np.bincount(random.integers(images, size=images), minlength=images) for _ in range(draws)])


def paired_bootstrap(
    ground_truth: dict,
    results_a: list[dict],
    results_b: list[dict],
    detections_per_image: int,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Difference:
    """The difference of two methods' AP on the same draws, with replacement, of as many images as the split has."""
    import numpy as np

    a, b = (ResampledAP(ground_truth, results, detections_per_image) for results in (results_a, results_b))
    count = a.images
    if not count or not ground_truth["annotations"]:
        raise ConesError(
            "nothing to compare: the split has no images or no boxes",
            next_step="leave this dataset out (--dataset names those to compare)",
        )
    weights = image_weights(count, draws, seed)
    differences = a.aps(weights) - b.aps(weights)
    differences = differences[~np.isnan(differences)]  # a draw of images without boxes has no AP
    everything = np.ones(count, dtype=int)
    ap_a, ap_b = a.ap(everything), b.ap(everything)
    low, high = np.quantile(differences, ENDS)
    other = (differences <= 0) if ap_a > ap_b else (differences >= 0)
    return Difference(ap_a, ap_b, float(low), float(high), float(other.mean()), count, len(differences))
