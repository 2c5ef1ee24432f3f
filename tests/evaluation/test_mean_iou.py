"""Mean intersection over union: the same as a plain loop over pixels, and over pictures together."""

import numpy as np
import pytest

from cones.data.class_maps import IGNORED
from cones.evaluation.mean_iou import PixelCounts
from cones.runtime.errors import ConesError

NAMES = ["a", "b", "c", "d"]


def plain(pairs):
    """{class: IoU in per cent} and the share of right pixels, by counting one pixel after the other."""
    inter, union, right, total = dict.fromkeys(NAMES, 0), dict.fromkeys(NAMES, 0), 0, 0
    for answers, truth in pairs:
        for answer, true in zip(answers.flat, truth.flat):
            if true == IGNORED:
                continue
            total += 1
            right += answer == true
            for place, name in enumerate(NAMES):
                inter[name] += answer == place and true == place
                union[name] += answer == place or true == place
    return {name: 100 * inter[name] / union[name] for name in NAMES if union[name]}, 100 * right / total


def test_counts_over_all_pictures_are_those_of_a_plain_loop():
    random = np.random.default_rng(0)
    pairs = []
    for size in ((7, 5), (3, 9), (1, 1)):
        truth = random.choice([0, 1, 1, 3, IGNORED], size).astype(np.uint8)
        pairs.append((random.integers(0, 2, size), truth))
    counts = PixelCounts(4)
    for answers, truth in pairs:
        counts.add(answers, truth)
    found, (expected, accuracy) = counts.score(NAMES), plain(pairs)
    assert dict(zip(NAMES, found.per_class)) == pytest.approx({**expected, "c": None})
    assert found.mean == pytest.approx(sum(expected.values()) / 3) and found.absent == ["c"]
    assert found.accuracy == pytest.approx(accuracy)
    assert found.per_class[3] == 0  # it stands in the maps and was never answered: that counts


def test_pixels_are_counted_over_pictures_and_not_averaged_picture_by_picture():
    counts = PixelCounts(2)
    counts.add(np.zeros((1, 9), int), np.zeros((1, 9), np.uint8))
    counts.add(np.zeros((1, 1), int), np.ones((1, 1), np.uint8))
    assert counts.score(["a", "b"]).per_class == [pytest.approx(90), 0]
    assert counts.score(["a", "b"]).mean == pytest.approx(45)


def test_answers_where_no_class_is_known_count_nowhere():
    counts = PixelCounts(2)
    counts.add(np.array([[0, 1]]), np.array([[0, IGNORED]], np.uint8))
    assert counts.score(["a", "b"]) == (100, [100, None], ["b"], 100)


def test_what_cannot_be_counted_is_refused():
    counts = PixelCounts(2)
    with pytest.raises(ConesError, match="no labelled pixel to score"):
        counts.score(["a", "b"])
    with pytest.raises(ConesError, match="not of one picture"):
        counts.add(np.zeros((2, 2), int), np.zeros((2, 3), np.uint8))
    with pytest.raises(ConesError, match="an answer is no class; expected 0 to 1; found 2"):
        counts.add(np.array([[2]]), np.array([[0]], np.uint8))
