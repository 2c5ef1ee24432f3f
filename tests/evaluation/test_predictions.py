"""Predictions as COCO results: box convention, rounding, and a file that is checked on both ways."""

import math

import numpy as np
import pytest

from cones.evaluation.predictions import read_predictions, to_coco_results, write_predictions
from cones.runtime.errors import ConesError

BOXES = np.array([[10.0, 20.0, 19.0, 39.0], [0.12345, 0.0, 5.0, 5.98765]], dtype=np.float32)


def converted(**changes):
    given = {"boxes": BOXES, "scores": np.array([0.25, 0.123456789]), "labels": np.array([0, 4]), **changes}
    return to_coco_results(7, given["boxes"], given["scores"], given["labels"], inclusive=given.get("inclusive", False))


def test_inclusive_boxes_count_their_last_pixel():
    assert converted(inclusive=True)[0]["bbox"] == [10.0, 20.0, 10.0, 20.0]
    assert converted(inclusive=False)[0]["bbox"] == [10.0, 20.0, 9.0, 19.0]


def test_labels_count_from_0_and_categories_from_1():
    assert [(r["image_id"], r["category_id"]) for r in converted()] == [(7, 1), (7, 5)]


def test_numbers_are_short():
    result = converted()[1]
    assert result["score"] == 0.123457
    assert result["bbox"] == [0.123, 0.0, 4.877, 5.988]


def test_best_first_and_ties_as_given():
    scores = [r["score"] for r in converted(scores=np.array([0.1, 0.9]))]
    assert scores == [0.9, 0.1]
    tied = converted(scores=np.array([0.5, 0.5]))
    assert [r["category_id"] for r in tied] == [1, 5]


def test_no_detection_is_an_empty_list():
    assert to_coco_results(1, np.zeros((0, 4)), np.zeros(0), np.zeros(0, dtype=int), inclusive=True) == []


def test_masks_travel_as_text():
    rle = {"size": (4, 4), "counts": b"`0"}
    result = to_coco_results(1, BOXES[:1], [0.5], [0], inclusive=False, segmentations=[rle])[0]
    assert result["segmentation"] == {"size": [4, 4], "counts": "`0"}


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"scores": np.array([math.nan, 0.1])}, "detections of image 7: a box or a score is not finite"),
        ({"boxes": np.array([[0, 0, math.inf, 1], [0, 0, 1, 1]])}, "not finite"),
        ({"boxes": np.array([[5, 0, 3, 1], [0, 0, 1, 1]])}, "negative size"),
        ({"labels": np.array([0])}, "not one score, label and mask per box"),
    ],
)
def test_broken_arrays_are_refused(changes, message):
    with pytest.raises(ConesError, match=message):
        converted(**changes)


@pytest.mark.parametrize("results", [[], converted()])
def test_file_round_trip(tmp_path, results):
    path = tmp_path / "predictions.json"
    write_predictions(path, results)
    assert read_predictions(path) == results
    written = path.read_bytes()
    write_predictions(path, read_predictions(path))
    assert path.read_bytes() == written
    assert len(written.splitlines()) == (1 if not results else len(results) + 2)


@pytest.mark.parametrize(
    "text, message",
    [
        ('{"a": 1}', "not a list of COCO results"),
        ('[{"image_id": 3, "category_id": 1, "score": 0.5}]', "detection 0 .image 3, category 1.: bbox is None"),
        ('[{"image_id": 3, "category_id": 1, "bbox": [0,0,1,1], "score": NaN}]', "score is nan"),
        ('[{"image_id": 3,', "not valid JSON"),
        ("[3]", "not a mapping"),
    ],
)
def test_malformed_files_are_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "predictions.json"
    path.write_text(text)
    with pytest.raises(ConesError, match=message) as error:
        read_predictions(path)
    assert "predictions.json" in str(error.value) and "\n" not in str(error.value)


def test_nothing_broken_is_written(tmp_path):
    with pytest.raises(ConesError):
        write_predictions(tmp_path / "predictions.json", [{"image_id": 1}])
    assert list(tmp_path.iterdir()) == []
