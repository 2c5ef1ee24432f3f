"""COCO average precision by pycocotools, behind a gate that refuses input it would silently score wrong.

Measured with pycocotools 2.0.11: an annotation with id 0 or an id used twice lowers AP, a NaN score raises it, a
detection of an unknown category is ignored, empty detections crash, and with any cap but 100 the summary is -1.
"""

from __future__ import annotations

import contextlib
import io
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cones.data.masks import IouType
from cones.evaluation.predictions import check_results, is_finite
from cones.runtime.errors import ConesError

if TYPE_CHECKING:
    import numpy as np
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

DECIMALS = 6  # of a percentage: beyond any meaning, and short in a file
AREAS = {"all": 0, "small": 1, "medium": 2, "large": 3}  # pycocotools' order; small < 32² px, large > 96² px
STATISTICS = (
    *("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"),
    *("ar_1", "ar_10", "ar_max", "ar_small", "ar_medium", "ar_large"),
)  # in pycocotools' order; ar_max is the recall at `detections_per_image` (COCO's AR@100)


def evaluate_detections(
    ground_truth: dict,
    results: list[dict],
    detections_per_image: int,
    iou_type: IouType = "bbox",
) -> dict:
    """Scores in percent (0..100) of COCO results against canonical COCO ground truth.

    `detections_per_image` caps the detections that count, as COCO does it: per image *and category*, best scores
    first. Returns the twelve STATISTICS, `per_class` [{category_id, name, ap, ap50}] by category id,
    `categories_not_annotated` (names without a box in this split; left out of every mean), `images`, `boxes`
    (crowd regions apart) and `detections`. A value that does not exist (no small box, say) is None. The order of
    `results` does not matter. Without detections the AP is 0.

    Raises ConesError, naming ids, on ground truth or results that pycocotools would score wrongly.
    """
    evaluation = _accumulated(ground_truth, results, detections_per_image, iou_type)
    per_class = [
        {
            "category_id": category["id"],
            "name": category["name"],
            "ap": _precision(evaluation, k=k),
            "ap50": _precision(evaluation, k=k, iou=0.5),
        }
        for k, category in enumerate(sorted(ground_truth["categories"], key=lambda category: category["id"]))
    ]
    return {
        **_statistics(evaluation, detections_per_image),
        "per_class": per_class,
        "categories_not_annotated": [scores["name"] for scores in per_class if scores["ap"] is None],
        "images": len(ground_truth["images"]),
        "boxes": sum(not annotation.get("iscrowd") for annotation in ground_truth["annotations"]),
        "detections": len(results),
    }


def average_precision(
    ground_truth: dict, results: list[dict], detections_per_image: int, iou_type: IouType = "bbox"
) -> float | None:
    """`evaluate_detections`' "ap" alone, behind the same gate: a quarter of the work, once an epoch."""
    return _precision(_accumulated(ground_truth, results, detections_per_image, iou_type, all_sizes_only=True))


def _statistics(evaluation: COCOeval, detections_per_image: int) -> dict[str, float | None]:
    """The twelve numbers of COCO, from the curves: pycocotools' own summary knows no cap but 100."""
    return {
        "ap": _precision(evaluation),
        "ap50": _precision(evaluation, iou=0.5),
        "ap75": _precision(evaluation, iou=0.75),
        **{f"ap_{area}": _precision(evaluation, area=area) for area in ("small", "medium", "large")},
        "ar_1": _recall(evaluation, cap=1),
        "ar_10": _recall(evaluation, cap=min(10, detections_per_image)),
        "ar_max": _recall(evaluation),
        **{f"ar_{area}": _recall(evaluation, area=area) for area in ("small", "medium", "large")},
    }


def _precision(evaluation: COCOeval, *, k: int | None = None, area: str = "all", iou: float | None = None):
    """Mean precision in percent over IoU thresholds, recall points and classes (or class number k) at the full cap."""
    curves = evaluation.eval["precision"][:, :, :, AREAS[area], -1]  # (thresholds, recall points, classes)
    if iou is not None:
        curves = curves[abs(evaluation.params.iouThrs - iou) < 1e-9]
    return _mean_percent(curves if k is None else curves[:, :, k])


def _recall(evaluation: COCOeval, *, area: str = "all", cap: int | None = None) -> float | None:
    """Mean recall in percent over IoU thresholds and classes with at most `cap` detections per image and class."""
    m = -1 if cap is None else evaluation.params.maxDets.index(cap)
    return _mean_percent(evaluation.eval["recall"][:, :, AREAS[area], m])  # (thresholds, classes)


def _mean_percent(values) -> float | None:
    """The mean in percent; None if nothing exists, which pycocotools marks by -1."""
    existing = values[values > -1]
    return round(100 * float(existing.mean()), DECIMALS) if existing.size else None


def _accumulated(
    ground_truth: dict,
    results: list[dict],
    detections_per_image: int,
    iou_type: IouType,
    *,
    all_sizes_only: bool = False,
) -> COCOeval:
    """pycocotools' curves, with its printing swallowed; images and categories are those of the ground truth, sorted.

    `all_sizes_only`: of boxes of all sizes, at the full cap, and of nothing else.
    """
    if detections_per_image < 1:
        raise ConesError(
            "detections_per_image must be at least 1",
            found=detections_per_image,
            next_step="correct it in datasets.yaml",
        )
    _check_ground_truth(ground_truth)
    _check_against(ground_truth, results, iou_type)
    with contextlib.redirect_stdout(io.StringIO()):
        from pycocotools.cocoeval import COCOeval

        evaluation = COCOeval(_as_coco(ground_truth), _results_as_coco(ground_truth, results, iou_type), iou_type)
        if all_sizes_only:
            evaluation.params.maxDets = [detections_per_image]
            evaluation.params.areaRng = evaluation.params.areaRng[:1]
        else:
            evaluation.params.maxDets = sorted({1, min(10, detections_per_image), detections_per_image})
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


def match_detections(
    ground_truth: dict, results: list[dict], detections_per_image: int
) -> tuple[int, np.ndarray, list[dict[str, np.ndarray]]]:
    """The matches of detections with boxes: number of images, recall points (R,), and a dict for each class.

    correct, ignored  (T, M) of the class's detections by falling score
    image             (M,) place of each detection's image among the sorted ids
    boxes             (I,) number of boxes of each image

    Boxes of all sizes, cap and matching as in `evaluate_detections`; T IoU thresholds, crowd regions apart.
    """
    import numpy as np

    evaluation = _accumulated(ground_truth, results, detections_per_image, "bbox", all_sizes_only=True)
    images, thresholds = len(evaluation.params.imgIds), len(evaluation.params.iouThrs)
    matches = []
    for k in range(len(evaluation.params.catIds)):
        start = k * images  # category outermost, then image
        evaluated = enumerate(evaluation.evalImgs[start : start + images])
        matched = [(i, in_image) for i, in_image in evaluated if in_image is not None]
        boxes = np.zeros(images, dtype=int)
        for i, in_image in matched:
            boxes[i] = int(np.sum(np.asarray(in_image["gtIgnore"]) == 0))
        scores = np.concatenate([in_image["dtScores"] for _, in_image in matched] or [[]])
        order = np.argsort(-scores, kind="mergesort")
        columns = [np.zeros((thresholds, 0))]
        correct = np.concatenate([*columns, *(in_image["dtMatches"] for _, in_image in matched)], axis=1)[:, order] > 0
        ignored = np.concatenate([*columns, *(in_image["dtIgnore"] for _, in_image in matched)], axis=1)[:, order] > 0
        counts = [len(in_image["dtScores"]) for _, in_image in matched]
        image = np.repeat([i for i, _ in matched], counts).astype(int)[order]
        matches.append({"correct": correct, "ignored": ignored, "image": image, "boxes": boxes})
    return images, evaluation.params.recThrs, matches


def _as_coco(ground_truth: dict) -> COCO:
    """A copy for pycocotools, which writes into annotations and fails on a missing `iscrowd`."""
    from pycocotools.coco import COCO

    coco = COCO()
    coco.dataset = {
        key: [dict(entry) for entry in ground_truth[key]] for key in ("images", "annotations", "categories")
    }
    for annotation in coco.dataset["annotations"]:
        annotation.setdefault("iscrowd", 0)
    coco.createIndex()
    return coco


def _results_as_coco(ground_truth: dict, results: list[dict], iou_type: IouType) -> COCO:
    """Results for pycocotools in a fixed order (equal scores would otherwise be ordered as in the file)."""
    if not results:  # pycocotools' loadRes fails on an empty list; no annotation at all is what it means
        return _as_coco({**ground_truth, "annotations": []})
    kept = "bbox" if iou_type == "bbox" else "segmentation"  # with both, loadRes takes a mask's area from its box
    ordered = sorted(
        ({key: result[key] for key in ("image_id", "category_id", "score", kept)} for result in results),
        key=lambda result: (result["image_id"], result["category_id"], -result["score"], str(result[kept])),
    )
    return _as_coco({**ground_truth, "annotations": []}).loadRes(ordered)


def _check_ground_truth(ground_truth: dict) -> None:
    """ConesError for ground truth that the gate of preparation would refuse, where it would change a number."""
    where = "ground truth"
    for key in ("images", "annotations", "categories"):
        if not isinstance(ground_truth.get(key), list):
            raise ConesError(
                f'no list "{key}"',
                where=where,
                expected="images, annotations, categories",
                next_step="prepare the dataset again",
            )
        ids = [entry.get("id") for entry in ground_truth[key]]
        _refuse(f"{key}: ids must be whole numbers", (i for i in ids if not isinstance(i, int)), where)
        _refuse(f"{key}: ids used twice", (i for i, count in Counter(ids).items() if count > 1), where)
    annotations = ground_truth["annotations"]
    _refuse("annotation ids must start at 1", (a["id"] for a in annotations if a["id"] < 1), where)
    images, categories = _ids(ground_truth["images"]), _ids(ground_truth["categories"])
    _refuse(
        "annotations of an unknown image or category",
        (a["id"] for a in annotations if a.get("image_id") not in images or a.get("category_id") not in categories),
        where,
    )
    _refuse("annotations without a box of positive size", (a["id"] for a in annotations if not _is_box(a)), where)
    _refuse("annotations without an area", (a["id"] for a in annotations if not is_finite(a.get("area"))), where)


def _check_against(ground_truth: dict, results: list[dict], iou_type: IouType) -> None:
    """ConesError unless every detection is finite and of an image and a category of the ground truth."""
    where = "detections"
    check_results(results, where=where)
    images, categories = _ids(ground_truth["images"]), _ids(ground_truth["categories"])
    _refuse("unknown image ids", (r["image_id"] for r in results if r["image_id"] not in images), where)
    _refuse("unknown category ids", (r["category_id"] for r in results if r["category_id"] not in categories), where)
    needed = "bbox" if iou_type == "bbox" else "segmentation"
    _refuse(f"no {needed} on images", (r["image_id"] for r in results if not r.get(needed)), where)
    if iou_type == "segm":
        unmasked = (a["id"] for a in ground_truth["annotations"] if not a.get("segmentation"))
        _refuse("annotations without a mask", unmasked, "ground truth")
        sizes = {image["id"]: [image["height"], image["width"]] for image in ground_truth["images"]}
        wrong = (r["image_id"] for r in results if list(r["segmentation"]["size"]) != sizes[r["image_id"]])
        _refuse("masks that do not have the size of images", wrong, where)


def _is_box(annotation: dict) -> bool:
    box = annotation.get("bbox")
    return isinstance(box, list | tuple) and len(box) == 4 and all(map(is_finite, box)) and min(box[2:]) > 0


def _ids(entries: list[dict]) -> set[int]:
    return {entry["id"] for entry in entries}


def _refuse(what: str, faulty: Iterable, where: str) -> None:
    """ConesError, naming at most five ids, if there is any."""
    faulty = sorted(set(faulty), key=str)
    if faulty:
        shown = ", ".join(map(str, faulty[:5])) + (f" and {len(faulty) - 5} more" if len(faulty) > 5 else "")
        raise ConesError(f"{what}: {shown}", where=where, next_step="run the step that wrote it again")
