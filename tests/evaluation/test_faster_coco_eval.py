"""The optional twin of pycocotools says the same of scenes with everything that COCO's rules are about."""

from collections import Counter

import pytest

from cones.evaluation.coco_ap import STATISTICS, evaluate_detections

pytest.importorskip("faster_coco_eval", reason="faster-coco-eval, which the benchmark compares with, is not installed")

from benchmarks.evaluation import TWIN, library, scene

DETECTIONS = 120  # of each image: more than any cap


@pytest.mark.parametrize("iou_type", ["bbox", "segm"])
@pytest.mark.parametrize("cap", [1, 15, 100])
def test_all_numbers_are_equal(iou_type, cap):
    truth, results = scene(images=14, classes=4, iou_type=iou_type, detections=DETECTIONS, seed=cap)
    empty = {image["id"] for image in truth["images"]} - {each["image_id"] for each in truth["annotations"]}
    tied = Counter((each["image_id"], each["category_id"], each["score"]) for each in results)
    capped = Counter((each["image_id"], each["category_id"]) for each in results)
    assert empty and any(each["iscrowd"] for each in truth["annotations"])
    assert max(tied.values()) > 1 and max(capped.values()) > min(cap, 15)

    ours = evaluate_detections(truth, results, cap, iou_type)
    with library(TWIN) as seconds:
        theirs = evaluate_detections(truth, results, cap, iou_type)
    assert len(seconds) == 1  # it was the twin that answered
    assert theirs == ours
    assert all(0 < ours[name] < 100 for name in STATISTICS)


def test_nothing_detected_and_nothing_annotated():
    truth, results = scene(images=7, classes=2, iou_type="bbox", detections=10)
    for some_truth, some_results in ((truth, []), ({**truth, "annotations": []}, results)):
        ours = evaluate_detections(some_truth, some_results, 100)
        with library(TWIN):
            assert evaluate_detections(some_truth, some_results, 100) == ours
