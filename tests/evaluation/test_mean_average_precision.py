"""mAP equals scikit-learn's average precision, class by class; classes without a positive have none."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from cones.evaluation.mean_average_precision import average_precision, mean_average_precision
from cones.runtime.errors import ConesError


@pytest.mark.parametrize("distinct", [3, 50, 10**6])  # few values: many ties
@pytest.mark.parametrize("seed", range(4))
def test_it_is_that_of_scikit_learn(seed, distinct):
    random = np.random.default_rng(seed)
    scores = random.integers(0, distinct, (60, 5)) / distinct
    labels = random.integers(-1, 2, (60, 5))
    found = mean_average_precision(torch.tensor(scores), torch.tensor(labels), list("abcde"))
    expected = []
    for place in range(5):
        known = labels[:, place] >= 0
        expected.append(100 * average_precision_score(labels[known, place], scores[known, place]))
    assert found.per_class == pytest.approx(expected)
    assert found.mean == pytest.approx(np.mean(expected)) and found.absent == []


def test_by_hand():
    scores, labels = torch.tensor([0.9, 0.8, 0.7, 0.6]), torch.tensor([1, 0, 1, 0])
    assert average_precision(scores, labels) == pytest.approx(100 * (1 / 1 + 2 / 3) / 2)
    assert average_precision(-scores, labels) == pytest.approx(100 * (1 / 2 + 2 / 4) / 2)
    assert average_precision(torch.ones(4), labels) == pytest.approx(50)  # one threshold


def test_a_picture_of_which_nobody_knows_is_left_out():
    scores, labels = torch.tensor([0.9, 0.8, 0.7]), torch.tensor([-1, 1, 0])
    assert average_precision(scores, labels) == 100


def test_a_class_without_a_positive_is_named_and_not_counted():
    labels = torch.tensor([[1, 0, -1], [0, 0, -1]])
    found = mean_average_precision(torch.rand(2, 3), labels, ["cat", "dog", "bus"])
    assert found.absent == ["dog", "bus"] and found.per_class[1:] == [None, None] and found.mean == found.per_class[0]
    assert mean_average_precision(torch.rand(2, 3), labels * 0, ["cat", "dog", "bus"]).mean is None


def test_scores_without_an_order_or_of_others_are_refused():
    labels = torch.zeros(3, 2, dtype=torch.int64)
    with pytest.raises(ConesError, match="not finite; found 1 of 3 pictures, the first at row 1"):
        mean_average_precision(torch.tensor([[0.0, 1], [float("nan"), 1], [0, 1]]), labels, ["a", "b"])
    with pytest.raises(ConesError, match="not of the same pictures"):
        mean_average_precision(torch.rand(2, 2), labels, ["a", "b"])
