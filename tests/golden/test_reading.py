"""The reader of golden files lets no number go unread and no other tensor pass."""

import numpy as np
import pytest
import torch

from tests.golden import reading
from tests.golden.reading import GoldenFile


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "FOLDER", tmp_path)
    return lambda **content: np.savez(tmp_path / "made_up.npz", **content)


WHOLE = torch.arange(24.0).reshape(2, 3, 4)


@pytest.mark.parametrize("shape, stride", [(".shape", ".stride"), ("__shape", "__stride")])
def test_a_strided_tensor_is_compared_where_the_file_holds_it(write, shape, stride):
    write(**{"k": WHOLE.flatten()[::5].numpy(), f"k{shape}": np.array([2, 3, 4]), f"k{stride}": np.array(5)})
    with GoldenFile("made_up") as golden:
        assert golden.keys() == ["k"]
        golden.compare("k", WHOLE, within=1e-6)
    elsewhere, within = WHOLE.clone(), WHOLE.clone()
    elsewhere[0, 0, 1] += 9  # a number that the file does not hold
    within[0, 1, 1] += 9  # the second that it holds
    GoldenFile("made_up").compare("k", elsewhere, within=1e-6)
    with pytest.raises(AssertionError, match="standard deviations away"):
        GoldenFile("made_up").compare("k", within, within=1e-6)
    with pytest.raises(AssertionError, match="is not"):
        GoldenFile("made_up").compare("k", WHOLE.reshape(3, 2, 4))
    with pytest.raises(AssertionError, match="strided: compare it"):
        GoldenFile("made_up")["k"]


def test_a_key_that_no_one_reads_is_a_failure(write):
    write(a=np.ones(3, np.float32), b=np.arange(3))
    with pytest.raises(AssertionError, match=r"no one reads: \['b'\]"), GoldenFile("made_up") as golden:
        golden["a"]
    with GoldenFile("made_up") as golden:
        golden["a"]
        golden.skip("b", "for another test")
    with pytest.raises(KeyError), GoldenFile("made_up"):  # an error of the test is not hidden by unread keys
        raise KeyError


def test_distances_are_in_standard_deviations_and_of_one_number_relative(write):
    write(rows=np.array([[10.0, 20], [12, 24]], np.float32), one=np.float32(4), labels=np.array([1, 2]))
    golden = GoldenFile("made_up")
    rows = torch.tensor([[10.0, 20], [12, 24]])
    spread = float(rows.std(correction=0))
    assert golden.distance("rows", rows + torch.tensor([[0, 0], [0, 1.0]])) == pytest.approx(1 / spread)
    assert golden.distance("rows", rows + 5, centred=True) == pytest.approx(0)
    assert golden.distance("one", torch.tensor(4.4)) == pytest.approx(0.1)
    with pytest.raises(AssertionError, match="labels"):
        golden.compare("labels", torch.tensor([1, 3]), within=100)
    with pytest.raises(AssertionError, match="rows"):
        golden.compare("rows", torch.full((2, 2), torch.nan))
