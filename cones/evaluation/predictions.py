"""`predictions.json`: detections as COCO results, one per line, rounded so that the file is small and stable."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cones.runtime.artifacts import read_json, write_text
from cones.runtime.errors import ConesError, kind_of

if TYPE_CHECKING:
    import numpy as np

BOX_DECIMALS = 3  # pixels
REPORT = "the model's code made it, not your data: report it with this line"
SCORE_DIGITS = 6  # significant


def to_coco_results(
    image_id: int,
    boxes: np.ndarray,
    scores: np.ndarray,
    labels: np.ndarray,
    *,
    inclusive: bool,
    segmentations: Sequence[dict] | None = None,
) -> list[dict]:
    """Detections of one image as COCO results, highest score first.

    boxes `(M, 4)` x1 y1 x2 y2 in pixels of the ORIGINAL image, scores `(M,)`, labels `(M,)` counted from 0
    (category_id = label + 1). `inclusive`: x2 and y2 are the last pixel of the box (GLIP), so width = x2 - x1 + 1;
    otherwise they are its edge and width = x2 - x1. `segmentations`: one compressed RLE `{"size", "counts"}` per box.
    Raises ConesError on arrays that do not fit together, on NaN or infinity and on boxes of negative size.
    """
    import numpy as np

    where = f"detections of image {image_id}"
    boxes = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    scores, labels = np.asarray(scores, dtype=np.float64).reshape(-1), np.asarray(labels).reshape(-1)
    if not len(boxes) == len(scores) == len(labels) or (segmentations is not None and len(segmentations) != len(boxes)):
        raise ConesError(
            "not one score, label and mask per box",
            where=where,
            found=f"{len(boxes)} boxes, {len(scores)} scores, {len(labels)} labels",
            next_step=REPORT,
        )
    if not (np.isfinite(boxes).all() and np.isfinite(scores).all()):
        raise ConesError(
            "a box or a score is not finite",
            where=where,
            next_step="tuning went wrong: look at this cell's tune.log, lower its learning rate",
        )
    sizes = boxes[:, 2:] - boxes[:, :2] + (1.0 if inclusive else 0.0)  # (M, 2) width, height
    if (sizes < 0).any():
        raise ConesError(
            "a box has a negative size", where=where, expected="x1 y1 x2 y2 with x2 >= x1, y2 >= y1", next_step=REPORT
        )
    results = []
    for m in np.argsort(-scores, kind="stable"):
        result = {
            "image_id": int(image_id),
            "category_id": int(labels[m]) + 1,
            "bbox": [round(float(v), BOX_DECIMALS) for v in (*boxes[m, :2], *sizes[m])],
            "score": float(f"{scores[m]:.{SCORE_DIGITS}g}"),
        }
        if segmentations is not None:
            rle = segmentations[m]
            counts = rle["counts"].decode("ascii") if isinstance(rle["counts"], bytes) else rle["counts"]
            result["segmentation"] = {"size": [int(side) for side in rle["size"]], "counts": counts}
        results.append(result)
    return results


def write_predictions(path: str | Path, results: list[dict]) -> None:
    """Write COCO results, one per line, in the order given; a list that `read_predictions` would refuse is refused."""
    check_results(results, where=path)
    lines = (json.dumps(result, sort_keys=True, allow_nan=False) for result in results)
    write_text(path, "[\n" + ",\n".join(lines) + "\n]\n" if results else "[]\n")


def read_predictions(path: str | Path) -> list[dict]:
    """The COCO results of a file; a ConesError names the first entry that is not one."""
    results = read_json(path)
    check_results(results, where=path)
    return results


def check_results(results: object, *, where: object) -> None:
    """Raise ConesError unless `results` is a list of well-formed COCO results (of any images)."""
    if not isinstance(results, list):
        raise ConesError(
            "not a list of COCO results",
            where=where,
            found=kind_of(results),
            next_step="delete it and run the evaluation step of this cell again",
        )
    for position, result in enumerate(results):
        fault = _fault(result)
        if fault:
            named = result if isinstance(result, dict) else {}
            raise ConesError(
                f"detection {position} (image {named.get('image_id')}, category {named.get('category_id')}): {fault}",
                where=where,
                next_step="run the evaluation step of this cell again",
            )


def _fault(result: object) -> str | None:
    """What is wrong with one COCO result, or None."""
    if not isinstance(result, dict):
        return "not a mapping"
    for key in ("image_id", "category_id"):
        if not isinstance(result.get(key), int) or isinstance(result[key], bool):
            return f"{key} is {result.get(key)!r}, not a whole number"
    if not is_finite(result.get("score")):
        return f"score is {result.get('score')!r}, not a finite number"
    box = result.get("bbox")
    if box is None and "segmentation" in result:
        return None
    if not isinstance(box, list | tuple) or len(box) != 4 or not all(map(is_finite, box)):
        return f"bbox is {box!r}, not four finite numbers"
    return f"bbox {box!r} has a negative size" if min(box[2:]) < 0 else None


def is_finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
