"""Blended, segregated and dataset-wise shifted class vectors: the numbers of Figure 4 tell them apart."""

import numpy as np
import pytest

from cones.outputs.analysis.blending import VectorSet, blending, stability
from cones.outputs.analysis.mixing import foreign_share, interval, mixing, neighbours, permutation_p
from cones.outputs.analysis.points import ClassPoints
from cones.outputs.figure4 import blending_table
from cones.outputs.figure4 import sheet as blending_sheet
from cones.outputs.files import read_csv, to_csv
from cones.outputs.sheet import sheet_markdown

NATURAL, MEDICAL = [20, 5, 7, 1, 1, 2, 1, 1, 3, 5, 1, 1, 2], [2, 1, 3, 1, 1, 1, 1, 1]  # the paper's classes per dataset
SIZES = [(f"d{n}", "natural", k) for n, k in enumerate(NATURAL)] + [
    (f"m{n}", "radiology", k) for n, k in enumerate(MEDICAL)
]
WIDTH = 256


def points(shift, seed=0):
    """Unit normal vectors, plus `shift(random, group)` once for each dataset."""
    random = np.random.default_rng(seed)
    return ClassPoints.of(
        (name, group, [f"{name} {k}" for k in range(size)], random.normal(size=(size, WIDTH)) + shift(random, group))
        for name, group, size in SIZES
    )


def random_vectors(seed=0):
    return points(lambda random, group: 0.0, seed)


def two_clouds(seed=0):
    centres = np.random.default_rng(99).normal(size=(2, WIDTH)) * 3
    return points(lambda random, group: centres[int(group == "natural")], seed)


def shared_contexts(seed=0):
    return points(lambda random, group: random.normal(size=WIDTH) * 1.5, seed)


def test_the_paper_has_61_classes():
    made = random_vectors()
    assert len(made) == 61 and (made.domains == "medical").sum() == 11
    np.testing.assert_allclose(np.linalg.norm(made.vectors, axis=1), 1)


def test_random_vectors_look_blended():
    found = [blending(random_vectors(seed), seed) for seed in range(4)]
    assert abs(np.mean([one["mixing_5"] for one in found]) - 1) < 0.1
    assert abs(np.mean([one["mixing_10"] for one in found]) - 1) < 0.1
    assert abs(np.mean([one["probe"] for one in found]) - 0.5) < 0.12
    assert abs(np.mean([one["dataset_mixing"] for one in found]) - 1) < 0.1
    assert min(one["p_classes"] for one in found) > 0.01


def test_two_clouds_are_segregated():
    found = blending(two_clouds(), 0)
    assert found["mixing_5"] == found["mixing_10"] == 0 and found["probe"] == 1
    assert found["mixing_5_low"] == found["mixing_5_high"] == 0
    assert found["silhouette"] > 0.5
    assert found["p_classes"] < 0.001 and found["p_datasets"] < 0.001


def test_what_the_classes_of_a_dataset_share_passes_for_a_domain_unless_whole_datasets_are_exchanged():
    found = [blending(shared_contexts(seed), seed) for seed in range(3)]
    assert np.mean([one["mixing_5"] for one in found]) < 0.75  # no domain was put in
    assert np.mean([one["dataset_mixing"] for one in found]) < 0.5
    assert np.median([one["p_classes"] for one in found]) < 0.01
    assert min(one["p_datasets"] for one in found) > 0.05


def test_a_share_is_measured_against_the_other_points():
    labels = np.array(["a", "a", "a", "b"])
    near = np.array([[1], [2], [3], [0]])
    np.testing.assert_allclose(foreign_share(near, labels), [0, 0, 3, np.nan])  # all others are foreign to b
    assert mixing(near, labels) == 1


def test_a_point_is_not_its_own_neighbour_and_labels_without_companions_say_nothing():
    cosines = np.array([[1, 0.9, 0.1], [0.9, 1, 0.2], [0.1, 0.2, 1]])
    assert neighbours(cosines, 1).tolist() == [[1], [0], [1]]
    assert np.isnan(foreign_share(np.array([[1], [2], [0]]), np.array(["a", "b", "c"]))).all()


def test_permuting_whole_datasets_keeps_their_points_together():
    near = np.array([[1], [0], [3], [2]])
    labels, units = np.array(["a", "a", "b", "b"]), np.array([0, 0, 1, 1])
    assert permutation_p(near, labels, units, 0, draws=50) == 1  # every deal leaves the pairs whole
    assert permutation_p(near, labels, np.arange(4), 0, draws=400) < 0.5


def test_an_interval_covers_its_mean_and_shrinks_with_more_points():
    random = np.random.default_rng(0)
    few, many = random.normal(1, 1, 11), random.normal(1, 1, 1100)
    low, high = interval(few, np.zeros(11), 0)
    assert low < few.mean() < high
    assert np.ptp(interval(many, np.zeros(1100), 0)) < 0.3 * (high - low)


def a_set(points, vectors="cones", seed=0):
    return VectorSet("glip_nano", vectors, seed, points, "21/21")


def test_stability_is_near_one_for_the_same_structure_and_near_zero_for_random_vectors():
    assert abs(stability([a_set(random_vectors(0)), a_set(random_vectors(1), seed=1)])) < 0.1
    assert stability([a_set(two_clouds(0)), a_set(two_clouds(1), seed=1)]) > 0.9
    assert stability([a_set(random_vectors())]) is None


def test_seeds_are_compared_over_the_classes_that_all_have():
    everything = two_clouds(0)
    some = everything.datasets != "d0"
    fields = (everything.vectors, everything.datasets, everything.groups, everything.names)
    fewer = ClassPoints(*(field[some][::-1] for field in fields))
    assert stability([a_set(everything), a_set(fewer, seed=1)]) == pytest.approx(1)


def test_one_domain_or_few_classes_have_no_numbers_but_a_row(tmp_path):
    alone = ClassPoints.of([("aquarium", "natural", ["fish", "shark"], np.eye(2, 8))])
    outside = ClassPoints.of([("cityscapes", "segmentation", ["car"], np.eye(1, 8))])
    assert len(outside) == 0
    table = blending_table([a_set(alone, "zero_shot_isolated"), a_set(outside, "mine")], suite="ci")
    (tmp_path / "t.csv").write_text(to_csv(table))
    columns, rows = read_csv(tmp_path / "t.csv")
    assert [row["natural"] for row in rows] == ["2", "0"] and {row["mixing_5"] for row in rows} == {""}
    page = sheet_markdown(blending_sheet(columns, rows, suite="ci", title="a test"))
    assert "Zero-shot, each name alone" in page and " nan " not in page and "suite: ci" in page


@pytest.mark.parametrize("seeds", [1, 2])
def test_a_row_is_of_the_first_seed(seeds):
    sets = [a_set(random_vectors(seed), seed=seed) for seed in range(seeds)]
    table = blending_table(sets, suite="ci")
    assert list(table["seed"]) == [0] and table["stability"].notna().all() == (seeds == 2)
