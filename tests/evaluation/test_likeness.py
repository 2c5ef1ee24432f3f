"""Scores of generated pictures, on features made up so that the right numbers are known."""

import math

import pytest
import torch
from torch.nn import functional as F

from cones.evaluation.likeness import SubjectFeatures, likeness, mean_of_pairs


def at(*degrees):
    """Unit rows in the plane: the cosine of two is that of the angle between them."""
    angles = torch.tensor([math.radians(degree) for degree in degrees])
    return torch.stack([angles.cos(), angles.sin()], dim=1)


def cos(degrees):
    return math.cos(math.radians(degrees))


def test_the_numbers_of_a_subject_by_hand():
    features = SubjectFeatures(
        generated={"in the snow": at(10, 30), "on a rug": at(90)},
        real=at(0, 20),
        others={"max": at(100), "bello": at(60, 80), "ming": at(180)},
        same_noun=("max", "bello"),
        texts={"in the snow": at(0)[0], "on a rug": at(60)[0]},
    )
    found = likeness(features)
    snow = (cos(10) + cos(10) + cos(30) + cos(10)) / 4
    rug = (cos(90) + cos(70)) / 2
    assert found["fidelity"] == pytest.approx((snow + rug) / 2, abs=1e-6), "prompts weigh alike, not pictures"
    one = ((cos(90) + cos(70)) / 2 + cos(10)) / 2
    two = ((cos(50) + cos(70) + cos(30) + cos(50)) / 4 + (cos(30) + cos(10)) / 2) / 2
    assert found["other_subject"] == pytest.approx((one + two) / 2, abs=1e-6)
    assert found["to_others"]["max"] == pytest.approx(one, abs=1e-6)
    assert found["to_others"]["ming"] < found["to_others"]["bello"]
    assert found["margin"] == pytest.approx(found["fidelity"] - found["other_subject"])
    assert found["text"] == pytest.approx(((cos(10) + cos(30)) / 2 + cos(30)) / 2, abs=1e-6)
    assert found["real_real"] == pytest.approx(cos(20), abs=1e-6)
    assert found["diversity"] == pytest.approx(1 - cos(20), abs=1e-6), "one picture alone has no diversity"
    assert found["nearest_real"] == pytest.approx((cos(10) + cos(70)) / 2, abs=1e-6)
    assert found["copies"] == pytest.approx(0.5), "10 degrees is a copy, 70 is not"


def test_a_collapse_and_a_copy_show():
    real = F.normalize(torch.randn(4, 16, generator=torch.Generator().manual_seed(0)), dim=-1)
    found = likeness(SubjectFeatures({"": real[:1].repeat(5, 1)}, real))
    assert found["diversity"] == pytest.approx(0, abs=1e-6)
    assert found["copies"] == 1 and found["nearest_real"] == pytest.approx(1, abs=1e-6)
    assert found["fidelity"] < 0.6


def test_what_does_not_exist_is_none():
    found = likeness(SubjectFeatures({"": at(3)}, at(0)))
    absent = {"text", "real_real", "other_subject", "margin", "diversity"}
    assert {name for name, value in found.items() if value is None} == absent
    assert mean_of_pairs(at(0)) is None
