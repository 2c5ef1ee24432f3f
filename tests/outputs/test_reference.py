"""The published numbers: our averaging reproduces every average of the paper but the three it got wrong itself."""

from math import fsum

import pytest

from cones.evaluation.seeds import rounded
from cones.outputs.reference import GROUPS, Reference, paper, paper_value
from cones.runtime.errors import ConesError

SLIPS = {  # (model, method, column): what the per-dataset tables give
    ("glip_t", "zero_shot", "natural_odinw13"): "46.5",
    ("glip_t", "zero_shot", "nonradiology4"): "8.2",
    ("glip_l", "zero_shot", "nonradiology4"): "12.2",
}
ROWS = [(row["model"], row["method"]) for row in paper().rows("table1")]


def average(table, model, method, datasets):
    return rounded(fsum(paper_value(table, model, method, dataset) for dataset in datasets) / len(datasets))


def test_fourteen_rows():
    assert len(ROWS) == len(set(ROWS)) == 14
    assert [len(group.datasets) for group in GROUPS.values()] == [13, 4, 4]


def test_every_group_average_of_table_1_but_three():
    differing = {}
    for model, method in ROWS:
        for group in GROUPS.values():
            ours = average(group.detail_table, model, method, group.datasets)
            if ours != rounded(paper_value("table1", model, method, group.column)):
                differing[model, method, group.column] = ours
    assert differing == SLIPS


def test_the_remarks_are_about_exactly_those_three():
    remarked = {
        (model, method, column)
        for model, method in ROWS
        for column, _ in paper().remarks("table1", model, method)
        if column != "params_all_M"
    }
    assert remarked == set(SLIPS)
    listed = {tuple(c[k] for k in ("model", "method", "column")): e["recomputed"] for e, c in _mismatches()}
    assert {key: rounded(value) for key, value in listed.items()} == SLIPS


def _mismatches():
    entries = paper().content["recomputation"]["mismatches"]
    return [(entry, cell) for entry in entries for cell in entry["cells"] if cell["table"] == "table1"]


def test_the_table_a_slip_contradicts_remarks_on_it_too():
    contradicted = {
        (table, model, method)
        for table in ("table8", "table10")
        for model, method in ROWS
        if list(paper().remarks(table, model, method))
    }
    assert contradicted == {("table8", "glip_t", "zero_shot")} | {
        ("table10", model, "zero_shot") for model in ("glip_t", "glip_l")
    }
    ((column, remark),) = paper().remarks("table8", "glip_t", "zero_shot")
    assert column == "avg_reported" and "natural is printed as 45.6, but its Table 8 averages to 46.53" in remark


@pytest.mark.parametrize("table, groups", [("table8", ["natural"]), ("table10", ["non_radiology", "radiology"])])
def test_every_average_of_the_detail_tables(table, groups):
    datasets = [dataset for name in groups for dataset in GROUPS[name].datasets]
    for row in paper().rows(table):
        assert set(datasets) == {key for key in row if key not in ("model", "method") and not key.startswith("avg_")}
        assert average(table, row["model"], row["method"], datasets) == rounded(row["avg_reported"])


def test_every_average_of_table_3():
    for row in paper().rows("table3"):
        values = [value for key, value in row.items() if key != "method" and not key.startswith("avg_")]
        assert len(values) == 5
        assert rounded(fsum(values) / 5, 3) == rounded(row["avg_reported"], 3)
        assert paper_value("table3", None, row["method"], "tn3k") == row["tn3k"]


def test_values_are_as_published():
    assert paper_value("table1", "glip_t", "cones", "radiology4") == 41.3
    assert paper_value("table10", "glip_l", "cones_finetuned", "bccd") == 63.5
    assert paper_value("table2", "uninext_r50", "cones", "kvasir_seg_mask") == 63.2
    assert paper_value("table1", "glip_t", "zero_shot", "params_all_M") is None
    assert paper_value("table1", "glip_nano", "cones", "radiology4") is None


def test_labels_are_the_papers_names_of_its_columns():
    labels = paper().labels("table8")
    assert list(labels) == list(GROUPS["natural"].datasets)
    assert (labels["aerial_maritime_drone_large"], paper().labels("table10")["cpm17"]) == ("AerialDrone", "CPM-17")


def test_order_and_blocks_are_the_papers():
    methods = ["zero_shot", "linear_probing", "textual_inversion", "prompt_tuning"]
    assert paper().order("method") == [*methods, "cones", "full_finetuning", "cones_finetuned"]
    assert paper().order("block") == ["zero_shot", "peft", "fine_tuning"]
    assert paper().block("cones") == "peft" and paper().block("mine") is None


def test_mistyped_names_are_refused():
    with pytest.raises(ConesError, match='did you mean "table1"'):
        paper_value("tabel1", "glip_t", "cones", "radiology4")
    with pytest.raises(ConesError, match='did you mean "radiology4"'):
        paper_value("table1", "glip_t", "cones", "radiology")


def test_missing_file_is_refused(tmp_path):
    with pytest.raises(ConesError, match="file is missing"):
        Reference(tmp_path / "paper_tables.yaml")
