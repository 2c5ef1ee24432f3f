"""Resampled AP equals that of a split with its images written down as often as they were drawn."""

import numpy as np
import pytest

from cones.evaluation.bootstrap import ResampledAP, paired_bootstrap
from cones.evaluation.coco_ap import evaluate_detections
from cones.runtime.errors import ConesError

CAP = 6


def world(images=8, seed=0, quality=6.0, crowd=True):
    """(ground truth, results): boxes of three classes, detections near them and elsewhere, no two scores equal."""
    random = np.random.default_rng(seed)
    truth = {
        "images": [{"id": i + 1, "width": 200, "height": 200} for i in range(images)],
        "categories": [{"id": k + 1, "name": "abc"[k]} for k in range(3)],
        "annotations": [],
    }
    results = []
    for i in range(1, images + 1):
        for _ in range(int(random.integers(0, 5))):
            x, y, w, h = (float(v) for v in random.uniform([0, 0, 20, 20], [120, 120, 70, 70]))
            label = int(random.integers(1, 4))
            number = len(truth["annotations"]) + 1
            box = {"id": number, "image_id": i, "category_id": label, "bbox": [x, y, w, h], "area": w * h}
            truth["annotations"].append({**box, "iscrowd": int(crowd and number % 7 == 0)})
            for _ in range(int(random.integers(0, 3))):
                moved = [x + random.normal() * quality, y + random.normal() * quality, w, h]
                results.append({"image_id": i, "category_id": label, "bbox": moved, "score": float(random.uniform())})
        stray = {"image_id": i, "category_id": int(random.integers(1, 4)), "bbox": [5.0, 5, 30, 30]}
        results.append({**stray, "score": float(random.uniform())})
    return truth, results


def drawn(truth, results, weights):
    """The split in which image i stands weights[i] times under new ids; copies of a detection score all but alike."""
    images, annotations, detections = [], [], []
    for index, weight in enumerate(weights):
        for copy in range(int(weight)):
            number = len(images) + 1
            images.append({**truth["images"][index], "id": number})
            for one in truth["annotations"]:
                if one["image_id"] == index + 1:
                    annotations.append({**one, "id": len(annotations) + 1, "image_id": number})
            for one in results:
                if one["image_id"] == index + 1:
                    detections.append({**one, "image_id": number, "score": one["score"] - 1e-9 * copy})
    return {**truth, "images": images, "annotations": annotations}, detections


@pytest.mark.parametrize("seed", range(4))
def test_every_image_once_is_the_ap(seed):
    truth, results = world(seed=seed)
    expected = evaluate_detections(truth, results, CAP)["ap"]
    assert ResampledAP(truth, results, CAP).ap(np.ones(8, dtype=int)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_a_drawn_image_counts_as_often_as_it_was_drawn(seed):
    truth, results = world(seed=seed)
    weights = np.bincount(np.random.default_rng(seed).integers(8, size=8), minlength=8)
    expected = evaluate_detections(*drawn(truth, results, weights), CAP)["ap"]
    assert ResampledAP(truth, results, CAP).ap(weights) == pytest.approx(expected, abs=1e-5)


def test_no_box_among_the_drawn_images_is_no_number_and_no_detection_is_zero():
    truth, results = world()
    with_boxes = {one["image_id"] for one in truth["annotations"] if not one["iscrowd"]}
    weights = np.array([int(i + 1 not in with_boxes) for i in range(8)])
    assert np.isnan(ResampledAP(truth, results, CAP).ap(weights * 0))
    assert ResampledAP(truth, [], CAP).ap(np.ones(8, dtype=int)) == 0


def test_a_method_against_itself_differs_by_nothing_and_a_better_one_is_found():
    truth, good = world(images=30, quality=1.0, crowd=False)
    _, poor = world(images=30, quality=15.0, crowd=False)
    same = paired_bootstrap(truth, good, good, CAP, draws=50)
    assert (same.difference, same.low, same.high) == (0, 0, 0)
    better = paired_bootstrap(truth, good, poor, CAP, draws=200)
    assert better.low > 0 and better.other_sign == 0
    assert better.low <= better.difference <= better.high
    assert paired_bootstrap(truth, good, poor, CAP, draws=200) == better
    worse = paired_bootstrap(truth, poor, good, CAP, draws=200)
    assert (worse.low, worse.high) == pytest.approx((-better.high, -better.low))


def test_an_empty_split_is_refused():
    truth, _ = world()
    with pytest.raises(ConesError, match="nothing to compare"):
        paired_bootstrap({**truth, "annotations": []}, [], [], CAP)
