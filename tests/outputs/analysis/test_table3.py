"""The distance of Table 3 and its companions on vectors whose answers are known, and the table made of them."""

import pytest
import torch

from cones.data.registry import load_registry
from cones.outputs.analysis.embeddings import BoxVectors, Embeddings
from cones.outputs.analysis.gap import centroid_gap, measures
from cones.outputs.analysis.names import ALL, FPN, FUSED, Place
from cones.outputs.figure5 import chosen_classes, figure5
from cones.outputs.files import read_csv, to_csv
from cones.outputs.reference import paper
from cones.outputs.sheet import sheet_markdown
from cones.outputs.table3 import distances as table3
from cones.outputs.table3 import sheet as table3_sheets

SETS = list(paper().labels("table3"))


def boxes(visual, own, logits=((0.0,),)):
    return BoxVectors(torch.tensor(visual), torch.tensor(own), torch.tensor(logits).expand(len(visual), -1))


def test_classes_weigh_the_same_whatever_the_number_of_their_boxes():
    found = measures(
        boxes([[3.0, 4], [3, 4], [3, 4], [0, 2]], [[0.0, 0]] * 3 + [[0.0, 1]], [[2.0, 0.5]]), torch.tensor([0, 0, 0, 1])
    )
    assert found["d_l2"] == pytest.approx((5 + 1) / 2)
    assert found["norm_visual"] == pytest.approx((5 + 2) / 2) and found["norm_class"] == pytest.approx(0.5)
    assert found["margin"] == pytest.approx((1.5 - 1.5) / 2)


def test_d_rel_and_d_cos_do_not_see_the_scale():
    v, u = torch.randn(20, 6), torch.randn(20, 6)
    labels, logits = torch.zeros(20, dtype=torch.long), torch.zeros(20, 1)
    small, large = (measures(BoxVectors(v * s, u * s, logits), labels) for s in (1, 10))
    assert large["d_l2"] == pytest.approx(10 * small["d_l2"])
    for name in ("d_rel", "d_cos", "gap"):
        assert large[name] == pytest.approx(small[name])
    assert small["margin"] is None  # one class has no other


def test_alike_boxes_have_no_spread_and_no_boxes_no_measures():
    one = boxes([[1.0, 0], [1, 0]], [[0.0, 1], [0, 1]])
    found = measures(one, torch.tensor([0, 0]))
    assert found["d_rel"] is None and found["d_cos"] == 1 and found["gap"] == pytest.approx(2**0.5)
    assert measures(boxes([[0.0]], [[0.0]]), torch.empty(0)) == {}


def test_a_pooled_gap_counts_every_class_of_every_dataset_once():
    right, up = boxes([[1.0, 0]] * 3, [[0.0, 1]] * 3), boxes([[0.0, 1]], [[0.0, 1]])
    labels = [torch.zeros(3, dtype=torch.long), torch.zeros(1, dtype=torch.long)]
    assert centroid_gap(list(zip((right, up), labels))) == pytest.approx(0.5**0.5)


def cell(distance, *, skipped=""):
    if skipped:
        return Embeddings(skipped=skipped)
    found = boxes([[float(distance), 0], [0, float(distance)]], [[0.0, 0], [0, 0]])
    return Embeddings({}, torch.tensor([0, 0]), {FUSED: found, FPN: found})


def rows_of(found, suite, tmp_path):
    (tmp_path / "table3.csv").write_text(to_csv(table3(found, suite=suite)))
    return read_csv(tmp_path / "table3.csv")


def test_beside_the_published_values_stand_ours_in_the_suite_paper_alone(tmp_path):
    found = {Place("glip_t", "cones", name, 0): cell(50 + n) for n, name in enumerate(SETS)}
    columns, rows = rows_of(found, "paper", tmp_path)
    by_place = {(row["source"], row["dataset"]): row for row in rows}
    assert float(by_place[FUSED, "tn3k"]["d_l2_difference"]) == pytest.approx(54 - 68.12)
    average = by_place[FUSED, ALL]
    assert (average["d_l2"], average["datasets"]) == ("52.0", "5/5")
    assert float(average["d_l2_paper"]) == pytest.approx(85.448, abs=1e-3)
    assert "TN3k ConES 68.12 is farther" in average["notes"]
    assert not by_place[FPN, "tn3k"]["d_l2_paper"]
    page = sheet_markdown(table3_sheets(columns, rows, suite="paper")[0])
    assert "68.1" in page and "does not define its distance" in page
    _, rows = rows_of(found, "miniature", tmp_path)
    assert not any(row["d_l2_paper"] or row["notes"] for row in rows)


def test_a_skipped_dataset_is_a_hole_with_its_reason_and_no_average_is_compared(tmp_path):
    found = {Place("glip_t", "cones", name, 0): cell(50) for name in SETS[:-1]}
    found[Place("glip_t", "cones", "tn3k", 0)] = cell(0, skipped="needs a form")
    columns, rows = rows_of(found, "paper", tmp_path)
    average = next(row for row in rows if (row["source"], row["dataset"]) == (FUSED, ALL))
    assert average["datasets"] == "4/5" and not average["d_l2_difference"]
    assert "tn3k: skipped (needs a form)" in average["notes"]
    assert "\N{EN DASH}" in sheet_markdown(table3_sheets(columns, rows, suite="paper")[0])


def test_every_published_row_has_a_method_of_ours():
    methods = {row["method"] for row in paper().rows("table3")}
    found = {Place("glip_t", method, name, 0): cell(1) for method in methods for name in SETS}
    table = table3(found, suite="paper")
    assert table[(table["source"] == FUSED)]["d_l2_paper"].notna().all()


def test_figure_5_takes_the_largest_class_of_the_first_natural_and_medical_dataset():
    registry = load_registry()

    def embedded(classes):
        labels = torch.tensor([0, *[classes - 1] * 5])
        found = {s: BoxVectors(torch.randn(6, 4), torch.randn(6, 4), torch.zeros(6, classes)) for s in (FUSED, FPN)}
        return Embeddings({}, labels, found)

    found = {
        Place("glip_nano", method, name, 0): embedded(len(registry[name].classes))
        for name in SETS
        for method in ("zero_shot", "cones")
    }
    chosen = chosen_classes(found, registry)
    assert [(one.dataset, one.name) for one in chosen] == [
        ("PascalVOC", registry["pascal_voc"].classes[-1]),
        ("DFUC2020", registry["dfuc2020"].classes[0]),
    ]
    assert len(chosen[0].text[FUSED].visual) == 5
    figure = figure5([], "Figure 5 · suite: ci")
    assert not figure.axes


def test_seeds_have_a_spread_and_a_method_without_any_cell_a_row_with_the_reason(tmp_path):
    found = {Place("glip_nano", "cones", "tn3k", seed): cell(50 + seed) for seed in (0, 1)}
    found[Place("glip_nano", "zero_shot", "tn3k", 0)] = Embeddings(missing="failed (out of memory)")
    columns, rows = rows_of(found, "miniature", tmp_path)
    (hole,) = [row for row in rows if row["method"] == "zero_shot"]
    assert (hole["dataset"], hole["datasets"], hole["d_l2"]) == (ALL, "0/1", "")
    assert hole["notes"] == "tn3k: failed (out of memory)"
    distances, companions = table3_sheets(columns, rows, suite="miniature")
    assert distances.rows[0][2].startswith("50.50 ± 6.35") and "over seeds" in sheet_markdown(distances)
    assert " nan " not in sheet_markdown(companions)
