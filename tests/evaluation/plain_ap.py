"""COCO box AP in the plainest way, written from the definition: loops, no pycocotools, no crowds, no area ranges."""

THRESHOLDS = [0.5 + 0.05 * step for step in range(10)]


def plain_ap(truth: dict, results: list[dict], cap: int, thresholds=THRESHOLDS) -> float:
    """Percent; `cap` detections per image and class, mean over thresholds and annotated classes."""
    classes = sorted({annotation["category_id"] for annotation in truth["annotations"]})
    values = [_class_ap(truth, results, category, cap, threshold) for category in classes for threshold in thresholds]
    return 100 * sum(values) / len(values)


def _class_ap(truth, results, category, cap, threshold):
    total, judged = 0, []  # judged: (score, hit)
    for image in truth["images"]:
        boxes = [
            a["bbox"] for a in truth["annotations"] if (a["image_id"], a["category_id"]) == (image["id"], category)
        ]
        total += len(boxes)
        mine = [r for r in results if (r["image_id"], r["category_id"]) == (image["id"], category)]
        taken = set()
        for result in sorted(mine, key=lambda r: -r["score"])[:cap]:
            overlap, best = max(
                ((_iou(result["bbox"], box), n) for n, box in enumerate(boxes) if n not in taken), default=(0, None)
            )
            hit = overlap >= threshold - 1e-10
            if hit:
                taken.add(best)
            judged.append((result["score"], hit))
    return _area_under_curve(judged, total)


def _area_under_curve(judged, total):
    """Mean over 101 recall points of the best precision at that recall or beyond."""
    points, hits = [], 0
    for rank, (_, hit) in enumerate(sorted(judged, key=lambda pair: -pair[0]), start=1):
        hits += hit
        points.append((hits / total, hits / rank))
    recalls = [step / 100 for step in range(101)]
    return sum(max((p for r, p in points if r >= recall - 1e-12), default=0.0) for recall in recalls) / 101


def _iou(a, b):
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    inter = max(width, 0) * max(height, 0)
    return inter / (a[2] * a[3] + b[2] * b[3] - inter)
