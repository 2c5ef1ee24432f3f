"""Table 1: averages, counts, spreads, holes, and the paper's numbers beside ours."""

import pytest

from cones.outputs.cells import ExpectedCell, collect_cells
from cones.outputs.reference import GROUPS
from cones.outputs.table1 import COLUMNS
from cones.outputs.table1 import frame as table1
from cones.outputs.wording import BLOCKS
from tests.outputs.worlds import METHODS, grid, published, row_of, write_done, write_world


def table_of(folder, cells, ap_of, suite="mini", logs=None):
    return table1(collect_cells(cells, write_world(folder, suite, cells, ap_of), logs, suite=suite), suite=suite)


def test_the_papers_own_numbers_give_the_papers_table(tmp_path):
    table = table_of(tmp_path, grid(), published, suite="paper")
    assert tuple(table.columns) == COLUMNS
    assert len(table) == 14
    off = [
        (row["model"], row["method"], name)
        for _, row in table.iterrows()
        for name in GROUPS
        if abs(row[f"{name}_difference"]) > 0.0501
    ]
    assert off == [
        ("glip_t", "zero_shot", "natural"),
        ("glip_t", "zero_shot", "non_radiology"),
        ("glip_l", "zero_shot", "non_radiology"),
    ]
    assert row_of(table, "glip_t", "zero_shot")["notes"].count("slip in the paper") == 2
    assert row_of(table, "glip_t", "cones")["paper_all_M"] == 123.06


def test_rows_are_in_the_papers_order_whatever_the_configuration_says(tmp_path):
    table = table_of(tmp_path, grid(methods=METHODS[::-1], datasets=("bccd",))[::-1], lambda cell: 1.0)
    blocks = ["zero_shot"] * 2 + ["peft"] * 8 + ["fine_tuning"] * 4
    assert list(table["block"]) == blocks
    assert list(table["model"][:2]) == ["glip_t", "glip_l"]
    assert list(table["method"][2:6]) == ["linear_probing", "textual_inversion", "prompt_tuning", "cones"]


def test_unknown_models_and_methods_follow(tmp_path):
    cells = grid(models=("nano", "glip_t"), methods=("mine", "cones"), datasets=("bccd",))
    table = table_of(tmp_path, cells, lambda cell: 1.0)
    assert list(zip(table["block"], table["model"], table["method"])) == [
        ("peft", "glip_t", "cones"),
        ("peft", "nano", "cones"),
        ("other", "glip_t", "mine"),
        ("other", "nano", "mine"),
    ]


def test_seeds_first_then_datasets(tmp_path):
    """Per-seed averages of the group are 20 and 22: mean 21, half width 12.706."""
    aps = {("bccd", 0): 10.0, ("cpm17", 0): 30.0, ("bccd", 1): 14.0, ("cpm17", 1): 30.0}
    cells = grid(models=("glip_t",), methods=("cones",), seeds=(0, 1), datasets=("bccd", "cpm17"))
    row = row_of(table_of(tmp_path, cells, lambda cell: aps[cell.dataset, cell.seed]), "glip_t", "cones")
    assert row["non_radiology_ap"] == 21.0
    assert row["non_radiology_spread"] == pytest.approx(12.7062, abs=1e-4)
    assert row["non_radiology_datasets"] == "2/2"
    assert row["seeds"] == "2"
    assert row[["natural_ap", "natural_datasets", "natural_paper", "notes"]].isna().all()


def test_a_lost_seed_is_told_and_leaves_no_interval(tmp_path):
    """bccd counts with its mean over the seed it has, not with half the weight."""
    aps = {("bccd", 0): 10.0, ("cpm17", 0): 30.0, ("cpm17", 1): 34.0}
    cells = grid(models=("glip_t",), methods=("cones",), seeds=(0, 1), datasets=("bccd", "cpm17"))
    row = row_of(table_of(tmp_path, cells, lambda cell: aps.get((cell.dataset, cell.seed))), "glip_t", "cones")
    assert row["non_radiology_ap"] == 21.0
    assert row[["non_radiology_spread"]].isna().all()
    assert (row["seeds"], row["notes"]) == ("1 to 2", "bccd (seed 1): not run")


def test_holes_are_counted_and_explained(tmp_path):
    log = tmp_path / "log"
    log.write_text("error: out of memory\n")

    def ap_of(cell):
        return {"aquarium": "needs a login", "bccd": None, "raccoon": None}.get(cell.dataset, 50.0)

    cells = grid(models=("glip_t",), methods=("cones",))
    logs = {cell: log for cell in cells if cell.dataset == "bccd"}
    row = row_of(table_of(tmp_path, cells, ap_of, suite="paper", logs=logs), "glip_t", "cones")
    assert row[["natural_datasets", "non_radiology_datasets", "radiology_datasets"]].tolist() == ["11/13", "3/4", "4/4"]
    assert row[["natural_difference", "non_radiology_difference"]].isna().all()
    assert row["radiology_difference"] == pytest.approx(50.0 - 41.3)
    assert row["natural_paper"] == 63.8
    assert row["notes"] == "aquarium: skipped (needs a login) | raccoon: not run | bccd: failed (error: out of memory)"


def test_nothing_at_all(tmp_path):
    row = row_of(table_of(tmp_path, grid(models=("glip_t",), methods=("cones",)), lambda cell: None), "glip_t", "cones")
    assert row["natural_datasets"] == "0/13"
    assert row[["natural_ap", "trained_M", "seeds"]].isna().all()
    assert row["notes"] == "all 21 datasets: not run"


def test_a_split_without_boxes_is_a_hole(tmp_path):
    cells = grid(models=("glip_t",), methods=("cones",), datasets=("bccd", "cpm17"))
    paths = write_world(tmp_path, "mini", cells[:1], lambda cell: 8.0)
    paths[cells[1]] = tmp_path / "metrics.json"
    write_done(paths[cells[1]], "mini", cells[1], None)
    row = row_of(table1(collect_cells(cells, paths, suite="mini"), suite="mini"), "glip_t", "cones")
    assert (row["non_radiology_ap"], row["non_radiology_datasets"]) == (8.0, "1/2")
    assert row["notes"] == "cpm17: no AP (the test split has no box)"


def test_a_subset_of_the_papers_datasets_takes_no_difference(tmp_path):
    cells = grid(models=("glip_t",), methods=("cones",), datasets=("bccd", "cpm17"))
    cells.append(ExpectedCell("glip_t", "my_cells", "non_radiology", "cones", "cones", 0))
    row = row_of(table_of(tmp_path, cells, lambda cell: 60.0, suite="paper"), "glip_t", "cones")
    assert row["non_radiology_datasets"] == "3/3"
    assert row[["non_radiology_difference"]].isna().all()
    assert row["notes"] == (
        "non-radiology: this suite has 2 of the paper's 4 datasets and 1 more, so no difference is taken"
    )


def test_other_arms_and_other_groups_stay_out(tmp_path):
    cells = [
        ExpectedCell("glip_t", "bccd", "non_radiology", "cones", "cones", 0),
        ExpectedCell("glip_t", "bccd", "non_radiology", "cones-n1", "cones", 0),
        ExpectedCell("uninext", "kvasir_seg", "segmentation", "cones", "cones", 0),
    ]
    table = table_of(tmp_path, cells, lambda cell: 70.0 if cell.arm == "cones" else 10.0)
    assert list(table["model"]) == ["glip_t"]
    assert table.iloc[0]["non_radiology_ap"] == 70.0


@pytest.mark.parametrize(
    ("block", "order"),
    [
        ("peft", ["cones", "mine", "full_finetuning"]),
        ("My methods", ["cones", "full_finetuning", "mine"]),
        ("control", ["cones", "full_finetuning", "mine"]),
        (None, ["cones", "full_finetuning", "mine"]),
    ],
)
def test_a_method_that_the_paper_does_not_know_stands_in_the_block_it_names(tmp_path, block, order):
    cells = grid(models=("glip_t",), methods=("full_finetuning", "cones"), datasets=("bccd",))
    cells.insert(0, ExpectedCell("glip_t", "bccd", "non_radiology", "mine", "mine", 0, block=block))
    table = table_of(tmp_path, cells, lambda cell: 70.0)
    assert list(table["method"]) == order
    found = table.set_index("method")["block"]["mine"]
    assert found == ("other" if block in ("control", None) else block)
    assert BLOCKS[found] == {"peft": "Parameter-efficient", "other": "Other"}.get(found, "My methods")


def test_differing_parameter_counts_are_told(tmp_path):
    cells = grid(models=("glip_t",), methods=("cones",), datasets=("bccd", "cpm17"))
    paths = {cell: tmp_path / f"{cell.dataset}.json" for cell in cells}
    for cell, trained in zip(cells, (100_000, 200_000)):
        write_done(paths[cell], "mini", cell, 1.0, trained=trained)
    row = row_of(table1(collect_cells(cells, paths, suite="mini"), suite="mini"), "glip_t", "cones")
    assert row["trained_M"] == 0.2
    assert row["notes"] == "trained parameters differ between datasets (0.1 to 0.2 M); the largest is shown"
