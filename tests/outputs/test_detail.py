"""Tables 8 and 10: columns, averages, holes, and the paper's numbers beside ours."""

import pytest

from cones.outputs.cells import ExpectedCell, collect_cells
from cones.outputs.details import DETAIL_TABLES, datasets_in, detail_frame, detail_sheet
from cones.outputs.files import read_csv, to_csv
from cones.outputs.reference import GROUPS, paper
from cones.outputs.sheet import sheet_markdown
from cones.outputs.wording import NO_NUMBER
from tests.outputs.worlds import collect, grid, published, row_of, write_world

ONE = {"models": ("glip_t",), "methods": ("cones",)}


def table_of(folder, cells, ap_of, table="table8", suite="mini"):
    return detail_frame(collect_cells(cells, write_world(folder, suite, cells, ap_of), suite=suite), table, suite=suite)


def markdown_of(frame, folder, table, **options):
    (folder / "table.csv").write_text(to_csv(frame))
    return sheet_markdown(detail_sheet(*read_csv(folder / "table.csv"), table, **options))


@pytest.mark.parametrize("table", DETAIL_TABLES)
def test_the_papers_own_numbers_differ_nowhere(tmp_path, table):
    found = table_of(tmp_path, grid(), published, table, suite="paper")
    assert len(found) == 14
    assert datasets_in(list(found.columns)) == list(paper().labels(table))
    differences = found[[column for column in found.columns if column.endswith("_difference")]]
    assert differences.drop(columns="average_difference").abs().max().max() < 1e-9
    assert differences["average_difference"].abs().max() <= 0.0501  # the paper rounds its averages


def test_a_published_average_that_contradicts_the_table_is_remarked_upon(tmp_path):
    natural = table_of(tmp_path, grid(), published, "table8", suite="paper")
    assert "natural is printed as 45.6, but its Table 8" in row_of(natural, "glip_t", "zero_shot")["notes"]
    assert row_of(natural, "glip_l", "zero_shot")[["notes"]].isna().all()
    medical = table_of(tmp_path, grid(), published, "table10", suite="paper")
    assert "sum 48.7 divided by 5" in row_of(medical, "glip_l", "zero_shot")["notes"]


def test_only_the_datasets_of_the_suite_have_columns_in_the_papers_order(tmp_path):
    cells = grid(**ONE, datasets=("tn3k", "bccd", "raccoon", "aquarium"))[::-1]
    cells.insert(0, ExpectedCell("glip_t", "my_fish", "natural", "cones", "cones", 0))
    natural = table_of(tmp_path, cells, lambda cell: 10.0)
    assert list(natural.columns) == [
        *("suite", "block", "model", "method", "aquarium_ap", "aquarium_spread", "raccoon_ap", "raccoon_spread"),
        *("my_fish_ap", "my_fish_spread", "average_ap", "average_datasets", "average_spread", "seeds", "notes"),
    ]
    assert datasets_in(list(table_of(tmp_path, cells, lambda cell: 10.0, "table10").columns)) == ["bccd", "tn3k"]


def test_seeds_first_then_datasets(tmp_path):
    aps = {("bccd", 0): 10.0, ("tn3k", 0): 30.0, ("bccd", 1): 14.0, ("tn3k", 1): 30.0}
    cells = grid(**ONE, seeds=(0, 1), datasets=("bccd", "tn3k"))
    row = row_of(table_of(tmp_path, cells, lambda cell: aps[cell.dataset, cell.seed], "table10"), "glip_t", "cones")
    assert (row["bccd_ap"], row["tn3k_ap"], row["average_ap"]) == (12.0, 30.0, 21.0)
    assert row["bccd_spread"] == pytest.approx(25.4124, abs=1e-4)
    assert row["average_spread"] == pytest.approx(12.7062, abs=1e-4)
    assert (row["average_datasets"], row["seeds"]) == ("2/2", "2")


def test_holes_have_reasons_and_an_average_says_over_how_many(tmp_path):
    cells = grid(**ONE, seeds=(0, 1), datasets=("isic2016", "bccd", "tn3k"))
    outcomes = {("isic2016", 0): "needs a form", ("isic2016", 1): "needs a form", ("tn3k", 0): 40.0, ("tn3k", 1): None}
    ap_of = {(cell.dataset, cell.seed): 20.0 for cell in cells} | outcomes
    table = table_of(tmp_path, cells, lambda cell: ap_of[cell.dataset, cell.seed], "table10", suite="paper")
    row = row_of(table, "glip_t", "cones")
    assert (row["average_ap"], row["average_datasets"], row["seeds"]) == (30.0, "2/3", "1 to 2")
    assert row[["isic2016_ap", "tn3k_spread", "average_spread", "average_difference"]].isna().all()
    assert row["isic2016_paper"] == 58.8 and row["bccd_difference"] == pytest.approx(20 - 62.4)
    assert row["notes"] == (
        "isic2016: skipped (needs a form) | tn3k (seed 1): not run"
        " | average: this suite has 3 of the paper's 8 datasets, so no difference is taken"
    )
    text = markdown_of(table, tmp_path, "table10", suite="paper")
    ours, theirs, difference = [line for line in text.splitlines() if line.startswith("| ")][2:]
    assert ours == f"| glip_t | ConES (stage 1) | {NO_NUMBER} | 20.0 ± 0.0 | 40.0 | 30.0 (2/3) | [1] [2] [3] |"
    assert theirs.startswith("|  | paper | 58.8 | 62.4 | 56.6 | 47.1 |")
    assert difference.startswith(f"|  | difference | {NO_NUMBER} | -42.4 | -16.6 | {NO_NUMBER} |")


def test_markdown_says_its_suite_and_the_papers_names(tmp_path):
    cells = grid(models=("glip_nano",), seeds=(0, 1))
    paths = write_world(tmp_path, "miniature", cells, lambda cell: 30.0 + len(cell.dataset) + cell.seed)
    written = collect(
        suite="miniature", grid="table1", expected=cells, metrics=paths, out_dir=tmp_path, title="toy | datasets"
    )
    text = next(path for path in written if path.name == "table8.md").read_text()
    assert text.startswith("# Table 8 · suite: miniature — toy | datasets, not comparable with the paper\n")
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len(table) == 2 + 7 and "| PascalVOC | AerialDrone | Aquarium |" in table[0] and "paper" not in table[0]
    assert {line.count("|") for line in table} == {13 + 4}


def test_a_suite_without_such_datasets_says_so(tmp_path):
    cells = grid(**ONE, datasets=("aquarium",))
    table = table_of(tmp_path, cells, lambda cell: 1.0, "table10")
    assert table.empty and datasets_in(list(table.columns)) == []
    assert "No cell of this suite belongs into Table 10." in markdown_of(table, tmp_path, "table10", suite="mini")


def test_every_group_of_table_1_has_a_detail_table():
    assert {group.detail_table for group in GROUPS.values()} == set(DETAIL_TABLES)
