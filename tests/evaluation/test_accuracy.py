"""Accuracy on made-up predictions: perfect, constant, shuffled, with a class that the test lacks."""

import math

import pytest
import torch

from cones.evaluation.accuracy import (
    accuracy,
    chance,
    first_choices,
    harmonic_mean,
    harmonic_mean_over_seeds,
)
from cones.evaluation.seeds import over_seeds
from cones.runtime.determinism import generator
from cones.runtime.errors import ConesError

CLASSES = [f"class {n}" for n in range(5)]
LABELS = torch.tensor([0] * 50 + [1] * 30 + [2] * 10 + [3] * 7 + [4] * 3)


def test_perfect_predictions_score_100():
    found = accuracy(LABELS, LABELS, CLASSES)
    assert found.top1 == found.class_mean == 100.0 and found.per_class == [100.0] * 5 and not found.absent


@pytest.mark.parametrize(("label", "share"), list(enumerate((50.0, 30.0, 10.0, 7.0, 3.0))))
def test_a_constant_answer_scores_the_share_of_its_class_and_one_class_in_k(label, share):
    found = accuracy(torch.full_like(LABELS, label), LABELS, CLASSES)
    assert found.top1 == pytest.approx(share, abs=1e-12)
    assert found.class_mean == pytest.approx(chance(5)) and found.per_class[label] == 100.0


def test_guesses_score_chance_within_three_sigma():
    labels = torch.arange(5).repeat(2000)
    guessed = labels[torch.randperm(len(labels), generator=generator("guess"))]
    sigma = 100 * math.sqrt(0.2 * 0.8 / len(labels))
    assert abs(accuracy(guessed, labels, CLASSES).top1 - chance(5)) < 3 * sigma


def test_a_class_without_test_pictures_is_left_out_of_the_mean_and_named():
    labels = LABELS[LABELS != 3]
    found = accuracy(labels, labels, CLASSES)
    assert found.per_class[3] is None and found.absent == ["class 3"] and found.class_mean == 100.0
    wrong = torch.where(labels == 4, 3, labels)  # answering the absent class is wrong like any other answer
    assert accuracy(wrong, labels, CLASSES).class_mean == pytest.approx(75.0)


def test_the_order_of_pictures_and_the_names_of_labels_do_not_matter():
    predicted = LABELS.roll(7)
    order, renamed = torch.randperm(len(LABELS), generator=generator("order")), torch.tensor([3, 0, 4, 1, 2])
    found = accuracy(predicted, LABELS, CLASSES)
    assert accuracy(predicted[order], LABELS[order], CLASSES) == found
    assert accuracy(renamed[predicted], renamed[LABELS], CLASSES).top1 == found.top1


def test_the_first_choice_is_the_largest_logit_and_of_equals_the_first():
    logits = torch.tensor([[0.0, 2.0, 1.0], [3.0, 3.0, -1.0]])
    assert first_choices(logits).tolist() == [1, 0]
    assert torch.equal(first_choices(5 * logits - 100), first_choices(logits))
    logits[1, 2] = float("nan")
    with pytest.raises(ConesError, match="not finite; found 1 of 2 pictures, the first at row 1"):
        first_choices(logits)


def test_h_is_the_harmonic_mean_and_is_averaged_seed_by_seed():
    assert harmonic_mean(80.0, 60.0) == pytest.approx(2 / (1 / 80 + 1 / 60))
    assert harmonic_mean(70.0, 70.0) == 70.0 and harmonic_mean(0.0, 0.0) == 0.0 and harmonic_mean(90.0, 0.0) == 0.0
    found = harmonic_mean_over_seeds([80.0, 90.0, 85.0], [60.0, 50.0, 70.0])
    each = [harmonic_mean(80, 60), harmonic_mean(90, 50), harmonic_mean(85, 70)]
    assert found == over_seeds(each) and found.count == 3 and found.half_width > 0


@pytest.mark.parametrize(
    ("predicted", "labels", "words"),
    [
        ([], [], "no test picture to score"),
        ([0, 1], [0, 1, 1], "not of the same pictures; expected 3 predictions; found 2"),
        ([0, 5], [0, 1], "a predicted label is no class; expected 0 to 4; found 5"),
        ([0, 1], [0, -1], "a label is no class; expected 0 to 4; found -1"),
    ],
)
def test_what_cannot_be_scored_is_refused(predicted, labels, words):
    with pytest.raises(ConesError, match=words):
        accuracy(torch.tensor(predicted, dtype=torch.int64), torch.tensor(labels, dtype=torch.int64), CLASSES)
