"""The linear probe of the CLIP papers, with its bisection, equals the official script."""

import math

import pytest
import torch

from baselines import linear_probing
from baselines.linear_probing import LinearProbe, Round, bisected
from baselines.logistic_regression import Fits
from cones.models.dual_encoder import ImageFeatures
from cones.runtime.errors import ConesError
from tests.golden.reading import GoldenFile
from tests.methods.classifier.inputs_of import inputs_of, labelled

RUNS = [(shots, seed) for shots in (1, 2, 4, 8, 16) for seed in (1, 2)]
# FORMAT-A: float32 features end elsewhere, or predict one picture otherwise
SENSITIVE_PATH, SENSITIVE_PREDICTIONS = {(8, 1)}, {(16, 2)}


def close(found: torch.Tensor, expected: torch.Tensor, within: float) -> None:
    """Within an absolute distance: many of these numbers are the same throughout, so that they have no spread."""
    torch.testing.assert_close(found, expected, rtol=0, atol=within)


def run_holds(golden: GoldenFile, shots: int, seed: int) -> None:
    key = f"s{shots}r{seed}."
    x, y = golden["train_x"], golden["train_y"]
    rows, val_rows = golden[key + "train_index"], golden[key + "val_index"]
    assert y[rows].bincount().tolist() == [shots] * 3
    val = labelled(golden["val_x"][val_rows], golden["val_y"][val_rows])
    given = inputs_of(torch.zeros(3, 16), x[rows], y[rows], val=val)
    probe = LinearProbe().classifier(given)
    choice = LinearProbe().fit(probe, given, tune=None)
    accuracies = [tried["accuracy"] / 100 for tried in choice.tried]
    close(torch.tensor(accuracies[:7]), golden[key + "grid_val_acc"], 1e-6)
    rounds = rounds_of(choice, accuracies)
    ends, results = torch.tensor([[r.left, r.right] for r in rounds]), torch.tensor([r.result for r in rounds])
    found = torch.tensor([[r.left_accuracy, r.right_accuracy] for r in rounds])
    test = ImageFeatures(golden["test_x"])
    if (shots, seed) in SENSITIVE_PATH:
        for name in ("left_right_C", "left_right_val_acc", "final_log10C", "test_acc", "coef", "intercept"):
            golden.skip(key + name, "float64 features there")
    else:
        close(ends.log10(), golden[key + "left_right_C"], 1e-5)
        close(found, golden[key + "left_right_val_acc"], 1e-6)
        close(results.log10(), golden[key + "final_log10C"], 1e-5)
        assert choice.taken["C"] == rounds[-1].result
        golden.compare(key + "coef", probe.weight.float(), within=1e-2)
        close(probe.bias.float(), golden[key + "intercept"], 5e-3)
        accuracy = 100 * (probe(test).argmax(1) == golden["test_y"]).double().mean()
        close(accuracy.float(), golden[key + "test_acc"][-1], 6e-3)
    if f"{key}test_prob" in golden:
        close(probe(test).softmax(1), golden[key + "test_prob"], 5e-3)
    if (shots, seed) in SENSITIVE_PATH | SENSITIVE_PREDICTIONS:
        golden.skip(key + "test_pred", "float64 features there")
    else:
        golden.compare(key + "test_pred", probe(test).argmax(1))


def rounds_of(choice, accuracies: list[float]) -> list[Round]:
    """The rounds again, from what the choice says was tried."""
    left, right = choice.tried[7:15], choice.tried[15:]
    results = [a["C"] if a["accuracy"] >= b["accuracy"] else b["C"] for a, b in zip(left, right, strict=True)]
    return [
        Round(a["C"], accuracies[7 + number], b["C"], accuracies[15 + number], result)
        for number, (a, b, result) in enumerate(zip(left, right, results))
    ]


def numbers_hold(runs=RUNS) -> None:
    with GoldenFile("linear_probe") as golden:
        golden["val_x"], golden["val_y"], golden["test_y"]
        for shots, seed in runs:
            run_holds(golden, shots, seed)
        if runs is not RUNS:
            golden.unread.clear()


def test_numbers_are_those_of_the_official_script():
    numbers_hold()


def right_on_a_tie(best, accuracy):
    return bisected(best, lambda strength: accuracy(strength) + strength * 1e-9)


def arithmetic_middle(best, accuracy):
    left, right, rounds = best * 0.1, best * 10, []
    for _ in range(8):
        ends = accuracy(left), accuracy(right)
        goes_right = ends[0] < ends[1]
        rounds.append(Round(left, ends[0], right, ends[1], right if goes_right else left))
        middle = (left + right) / 2
        left, right = (middle, right) if goes_right else (left, middle)
    return rounds


def unit_features(train, val):
    return Fits(
        *(
            labelled(split.features.pooled / split.features.pooled.norm(dim=1)[:, None], split.labels)
            for split in (train, val)
        )
    )


@pytest.mark.parametrize("run", [(8, 2), (16, 1)])
@pytest.mark.parametrize(
    ("place", "mistake"), [("bisected", right_on_a_tie), ("bisected", arithmetic_middle), ("Fits", unit_features)]
)
def test_a_mistake_is_seen(place, mistake, run, monkeypatch):
    monkeypatch.setattr(linear_probing, place, mistake)
    with pytest.raises(AssertionError):
        numbers_hold([run])


def test_a_plateau_of_validation_gives_a_tenth_of_the_best():
    rounds = bisected(1.0, lambda strength: 50.0)
    assert all(one.result == 0.1 for one in rounds)
    assert math.log10(rounds[-1].right) == pytest.approx(-1 + 2 / 2**7)


def test_two_classes_and_a_class_without_images():
    torch.manual_seed(0)
    labels = torch.tensor([0, 2] * 10)
    images = torch.randn(20, 5) + labels[:, None]
    given = inputs_of(torch.zeros(3, 5), images, labels, val=labelled(images, labels))
    probe = LinearProbe().classifier(given)
    LinearProbe().fit(probe, given, tune=None)
    logits = probe(ImageFeatures(images))
    assert set(logits.argmax(1).tolist()) == {0, 2}
    fitted = Fits(given.train, given.val).at(LinearProbe().fit(probe, given, tune=None).taken["C"])
    expected = torch.from_numpy(fitted.predict_proba(images.double().numpy())).float()
    torch.testing.assert_close(logits.softmax(1)[:, [0, 2]], expected)


def test_without_validation_it_is_refused():
    given = inputs_of(torch.zeros(3, 5), torch.randn(3, 5), torch.arange(3), dataset="mine")
    with pytest.raises(ConesError, match="mine: the linear probe chooses its strength on validation images"):
        LinearProbe().fit(LinearProbe().classifier(given), given, tune=None)
