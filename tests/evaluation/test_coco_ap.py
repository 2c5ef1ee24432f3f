"""Golden numbers of COCO AP, the traps of pycocotools, and an independent computation beside it."""

import contextlib
import copy
import io
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cones.evaluation.coco_ap import STATISTICS, average_precision, evaluate_detections
from cones.runtime.errors import ConesError
from tests.evaluation.plain_ap import plain_ap


def world(boxes, *, categories=("cell",), images=2):
    """Ground truth from `[(image, category, [x, y, w, h]), …]`."""
    return {
        "images": [{"id": i + 1, "width": 400, "height": 400, "file_name": f"{i + 1}.png"} for i in range(images)],
        "categories": [{"id": k + 1, "name": name} for k, name in enumerate(categories)],
        "annotations": [
            {"id": n + 1, "image_id": i, "category_id": c, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
            for n, (i, c, box) in enumerate(boxes)
        ],
    }


def found(image, category, box, score=0.9):
    return {"image_id": image, "category_id": category, "bbox": list(box), "score": score}


def perfect(truth):
    return [found(a["image_id"], a["category_id"], a["bbox"]) for a in truth["annotations"]]


TWO_CLASSES = [
    (1, 1, [10, 10, 50, 50]),
    (1, 2, [200, 100, 120, 130]),
    (2, 1, [30, 40, 20, 25]),
    (2, 2, [100, 100, 60, 40]),
]


def test_perfect_detections_score_100():
    truth = world(TWO_CLASSES, categories=("red", "white"))
    scores = evaluate_detections(truth, perfect(truth), 100)
    assert {scores[name] for name in STATISTICS} == {100.0}
    assert scores["per_class"] == [
        {"category_id": 1, "name": "red", "ap": 100.0, "ap50": 100.0},
        {"category_id": 2, "name": "white", "ap": 100.0, "ap50": 100.0},
    ]
    assert (scores["images"], scores["boxes"], scores["detections"]) == (2, 4, 4)
    assert scores["categories_not_annotated"] == []


def test_boxes_shifted_by_their_width_score_0():
    truth = world(TWO_CLASSES, categories=("red", "white"))
    shifted = [{**r, "bbox": [r["bbox"][0] + r["bbox"][2], *r["bbox"][1:]]} for r in perfect(truth)]
    assert evaluate_detections(truth, shifted, 100)["ap"] == 0.0


def test_swapped_classes_score_0():
    truth = world(TWO_CLASSES, categories=("red", "white"))
    swapped = [{**r, "category_id": 3 - r["category_id"]} for r in perfect(truth)]
    assert evaluate_detections(truth, swapped, 100)["ap"] == 0.0


def test_hand_computed_curve():
    """Two boxes; hit at 0.9, false alarm at 0.8, hit at 0.7.

    Precision is 1 up to recall 1/2 (51 of the 101 recall points) and 2/3 beyond (50 points).
    """
    truth = world([(1, 1, [0, 0, 40, 40]), (1, 1, [100, 100, 40, 40])])
    results = [
        found(1, 1, [0, 0, 40, 40], 0.9),
        found(1, 1, [300, 300, 40, 40], 0.8),
        found(1, 1, [100, 100, 40, 40], 0.7),
    ]
    scores = evaluate_detections(truth, results, 100)
    assert scores["ap50"] == pytest.approx(100 * (51 * 1 + 50 * 2 / 3) / 101, abs=1e-4)
    assert scores["ap"] == scores["ap50"]
    assert (scores["ar_1"], scores["ar_10"]) == (50.0, 100.0)


def test_values_that_do_not_exist_are_none():
    scores = evaluate_detections(world([(1, 1, [0, 0, 50, 50])]), [], 100)
    assert scores["ap"] == scores["ap_medium"] == scores["ar_max"] == 0.0
    assert scores["ap_small"] is None and scores["ap_large"] is None and scores["ar_small"] is None


def test_nothing_annotated_has_no_ap():
    scores = evaluate_detections(world([]), [found(1, 1, [0, 0, 5, 5])], 100)
    assert scores["ap"] is None and scores["boxes"] == 0


def test_category_without_boxes_is_named_and_left_out_of_the_mean():
    truth = world([(1, 1, [0, 0, 50, 50])], categories=("red", "platelet"))
    results = [*perfect(truth), found(1, 2, [200, 200, 9, 9])]
    scores = evaluate_detections(truth, results, 100)
    assert scores["ap"] == 100.0
    assert scores["categories_not_annotated"] == ["platelet"]
    assert scores["per_class"][1]["ap"] is None


def test_inputs_are_left_as_they_were():
    truth = world(TWO_CLASSES, categories=("red", "white"))
    results = perfect(truth)
    before = copy.deepcopy((truth, results))
    evaluate_detections(truth, results, 100)
    assert (truth, results) == before


def test_nothing_is_printed(capsys):
    truth = world(TWO_CLASSES, categories=("red", "white"))
    evaluate_detections(truth, perfect(truth), 100)
    assert capsys.readouterr() == ("", "")


# --- against others ---------------------------------------------------------------------------------------------


def crowded_world(seed, *, boxes_per_image=14, noise=4.0, images=3, sizes=(12, 90)):
    """Many boxes, noisy detections and false alarms; scores are all different."""
    draw = random.Random(seed)
    boxes, results = [], []
    for image in range(1, images + 1):
        for _ in range(boxes_per_image):
            box = [draw.randint(0, 300), draw.randint(0, 300), draw.randint(*sizes), draw.randint(*sizes)]
            boxes.append((image, draw.choice((1, 2)), box))
            noisy = [value + draw.uniform(-noise, noise) for value in box]
            results.append(found(image, boxes[-1][1], noisy, draw.random()))
            alarm = [draw.uniform(0, 300), draw.uniform(0, 300), 30.0, 30.0]
            results.append(found(image, draw.choice((1, 2)), alarm, draw.random()))
    return world(boxes, categories=("red", "white"), images=images), results


def pycocotools_statistics(truth, results):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = copy.deepcopy(truth)
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(copy.deepcopy(results)), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return dict(zip(STATISTICS, evaluation.stats))


@pytest.mark.parametrize("seed", range(3))
def test_equal_to_the_summary_of_pycocotools_at_100(seed):
    truth, results = crowded_world(seed)
    ours = evaluate_detections(truth, results, 100)
    theirs = pycocotools_statistics(truth, results)
    assert {name: ours[name] for name in STATISTICS} == {
        name: None if value == -1 else pytest.approx(100 * value, abs=1e-5) for name, value in theirs.items()
    }
    assert 10 < ours["ap"] < 95


@pytest.mark.parametrize("cap", [1, 3, 10, 100, 300])
def test_caps_agree_with_an_independent_computation(cap):
    truth, results = crowded_world(7, boxes_per_image=40)
    ours = evaluate_detections(truth, results, cap)
    assert ours["ap"] == pytest.approx(plain_ap(truth, results, cap), abs=1e-4)
    assert ours["ap50"] == pytest.approx(plain_ap(truth, results, cap, thresholds=[0.5]), abs=1e-4)
    assert average_precision(truth, results, cap) == ours["ap"]
    assert all(ours[name] is None or 0 <= ours[name] <= 100 for name in STATISTICS)


def test_a_higher_cap_counts_more():
    truth, results = crowded_world(7, boxes_per_image=140, images=2)
    at = {cap: evaluate_detections(truth, results, cap) for cap in (10, 100, 300)}
    assert at[10]["ar_max"] < at[100]["ar_max"] < at[300]["ar_max"]
    assert at[10]["ar_10"] == at[10]["ar_max"] == at[300]["ar_10"]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([1, 2]),
            st.sampled_from([1, 2]),
            st.tuples(*[st.integers(0, 60)] * 2, *[st.integers(4, 60)] * 2),
        ),
        min_size=1,
        max_size=6,
    ),
    st.lists(st.tuples(st.integers(0, 5), st.integers(-6, 6), st.sampled_from([0.1, 0.5, 0.5, 0.9])), max_size=8),
    st.randoms(use_true_random=False),
)
def test_any_small_world(boxes, detections, shuffler):
    """Scores stay in 0..100 and the order of the results (ties included) does not matter."""
    truth = world([(image, category, list(box)) for image, category, box in boxes], categories=("red", "white"))
    results = []
    for index, shift, score in detections:
        image, category, box = boxes[index % len(boxes)]
        results.append(found(image, category, [box[0] + shift, box[1], box[2], box[3]], score))
    scores = evaluate_detections(truth, results, 100)
    assert 0 <= scores["ap"] <= scores["ap50"] <= 100
    assert average_precision(truth, results, 100) == scores["ap"]
    shuffled = results[:]
    shuffler.shuffle(shuffled)
    assert evaluate_detections(truth, shuffled, 100) == scores
    assert evaluate_detections(truth, [*results, *perfect(truth)], 100)["ar_max"] == 100.0


# --- masks ------------------------------------------------------------------------------------------------------


def test_masks_of_boxes_score_as_their_boxes():
    import numpy as np
    from pycocotools import mask

    truth, results = crowded_world(5)
    truth["annotations"] = [
        {**a, "segmentation": [[x, y, x + w, y, x + w, y + h, x, y + h]]}
        for a in truth["annotations"]
        for x, y, w, h in [a["bbox"]]
    ]
    masked = []
    for result in results:
        x, y, w, h = (round(v) for v in result["bbox"])
        pixels = np.zeros((400, 400), dtype=np.uint8, order="F")
        pixels[max(y, 0) : y + h, max(x, 0) : x + w] = 1
        rle = mask.encode(pixels)
        rounded = [max(x, 0), max(y, 0), x + w - max(x, 0), y + h - max(y, 0)]
        masked.append({**result, "bbox": rounded, "segmentation": {**rle, "counts": rle["counts"].decode()}})
    boxes, masks = (evaluate_detections(truth, masked, 100, iou_type) for iou_type in ("bbox", "segm"))
    assert masks["ap"] == pytest.approx(boxes["ap"], abs=0.5)
    assert average_precision(truth, masked, 100, "segm") == masks["ap"]
    with pytest.raises(ConesError, match="no segmentation on images: 1, 2, 3"):
        evaluate_detections(truth, results, 100, "segm")
    masked[0]["segmentation"]["size"] = [10, 10]
    with pytest.raises(ConesError, match="masks that do not have the size of images: 1"):
        evaluate_detections(truth, masked, 100, "segm")


# --- the gate ---------------------------------------------------------------------------------------------------


def refusal(truth, results):
    with pytest.raises(ConesError) as error:
        evaluate_detections(truth, results, 100)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t: t["annotations"][0].update(id=0), "annotation ids must start at 1: 0"),
        (lambda t: t["annotations"][0].update(id=3), "annotations: ids used twice: 3"),
        (lambda t: t["annotations"][1].update(image_id=77), "unknown image or category: 2"),
        (lambda t: t["annotations"][1].update(category_id=9), "unknown image or category: 2"),
        (lambda t: t["annotations"][2].update(bbox=[5, 5, 0, 10]), "box of positive size: 3"),
        (lambda t: t["annotations"][2].update(bbox=[5, math.nan, 1, 1]), "box of positive size: 3"),
        (lambda t: t["annotations"][3].pop("area"), "without an area: 4"),
        (lambda t: t["images"][0].update(id=2), "images: ids used twice: 2"),
        (lambda t: t["categories"][0].update(id="1"), "categories: ids must be whole numbers: 1"),
        (lambda t: t.pop("images"), 'no list "images"'),
    ],
)
def test_broken_ground_truth_is_refused_by_id(change, message):
    truth = world(TWO_CLASSES, categories=("red", "white"))
    results = perfect(truth)
    change(truth)
    assert message in refusal(truth, results)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"image_id": 77}, "unknown image ids: 77"),
        ({"category_id": 9}, "unknown category ids: 9"),
        ({"score": math.nan}, "detection 1 (image 1, category 2): score is nan"),
        ({"score": -math.inf}, "score is -inf"),
        ({"bbox": [0, 0, math.inf, 4]}, "detection 1 (image 1, category 2): bbox"),
        ({"bbox": [0, 0, -1, 4]}, "negative size"),
        ({"bbox": [0, 0, 4]}, "not four finite numbers"),
        ({"image_id": "1"}, "image_id is '1', not a whole number"),
    ],
)
def test_broken_detections_are_refused_by_id(change, message):
    truth = world(TWO_CLASSES, categories=("red", "white"))
    results = perfect(truth)
    results[1].update(change)
    assert message in refusal(truth, results)


def test_many_ids_are_cut_short():
    truth = world(TWO_CLASSES, categories=("red", "white"))
    message = refusal(truth, [found(image, 1, [0, 0, 5, 5]) for image in range(100, 120)])
    assert "unknown image ids: 100, 101, 102, 103, 104 and 15 more" in message


def test_a_crowd_region_is_neither_hit_nor_false_alarm():
    truth = world([(1, 1, [0, 0, 50, 50]), (1, 1, [200, 200, 100, 100])])
    truth["annotations"][1]["iscrowd"] = 1
    inside = found(1, 1, [210, 210, 20, 20], 0.95)
    scores = evaluate_detections(truth, [inside, found(1, 1, [0, 0, 50, 50], 0.5)], 100)
    assert scores["ap"] == 100.0 and scores["boxes"] == 1


def test_a_cap_below_one_is_refused():
    with pytest.raises(ConesError, match="at least 1"):
        evaluate_detections(world(TWO_CLASSES, categories=("red", "white")), [], 0)
