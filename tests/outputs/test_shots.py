"""Few-shot cells: every table says so, and no average mixes them with others."""

from dataclasses import replace

import pytest

from cones.experiment.cell import Plan
from cones.outputs.cells import cells_csv, collect_cells, read_cells
from cones.outputs.details import detail_frame
from cones.outputs.files import read_csv, to_csv
from cones.outputs.ranks import frame as ranks
from cones.outputs.records import Record
from cones.outputs.sheet import sheet_markdown
from cones.outputs.table1 import COLUMNS, read_rows
from cones.outputs.table1 import frame as table1
from cones.outputs.table1 import sheet as table1_sheet
from cones.outputs.wording import NO_NUMBER
from cones.runtime.artifacts import write_text
from cones.steps.collect import _expected
from tests.outputs.worlds import grid, row_of, write_world


def cells_with(tmp_path, shots_of, datasets=("bccd", "cpm17"), methods=("zero_shot", "prompt_tuning", "cones")):
    """Cells in the files and back; `shots_of(cell)` gives the images per class of each."""
    cells = [
        replace(cell, shots=shots_of(cell)) for cell in grid(models=("glip_t",), methods=methods, datasets=datasets)
    ]
    paths = write_world(tmp_path, "mini", cells, lambda cell: 30.0 + len(cell.method))
    write_text(tmp_path / "cells.csv", cells_csv(collect_cells(cells, paths, suite="mini")))
    return read_cells(tmp_path / "cells.csv")


def few(cell):
    return 5 if cell.method == "cones" else None


def test_a_few_shot_row_is_named_so(tmp_path):
    cells = cells_with(tmp_path, few)
    table = table1(cells, suite="mini")
    assert [column for column in table.columns if column not in COLUMNS] == ["shots"]
    write_text(tmp_path / "table1.csv", to_csv(table))
    columns, rows = read_csv(tmp_path / "table1.csv")
    assert read_rows(tmp_path / "table1.csv") == rows
    names = [row[2] for row in table1_sheet(columns, rows, suite="mini").rows]
    assert names == ["Zero-shot", "Prompt tuning", "ConES (stage 1), 5 shots"]
    assert row_of(table, "glip_t", "cones")["non_radiology_ap"] == 35.0  # all of its datasets have as many
    for other in (detail_frame(cells, "table10", suite="mini"), ranks(cells, suite="mini")):
        assert other["shots"].tolist()[-1] == "5" and other["shots"].notna().sum() == 1


def test_without_few_shot_cells_the_columns_are_as_ever(tmp_path):
    cells = cells_with(tmp_path, lambda cell: None)
    assert tuple(table1(cells, suite="mini").columns) == COLUMNS
    assert "shots" not in detail_frame(cells, "table10", suite="mini").columns


@pytest.mark.parametrize("other", [None, 3])
def test_no_average_is_taken_over_datasets_of_other_shots(tmp_path, other):
    def shots_of(cell):
        return None if cell.method == "zero_shot" else 5 if cell.dataset == "bccd" else other

    cells = cells_with(tmp_path, shots_of)
    table = table1(cells, suite="mini")
    row = row_of(table, "glip_t", "cones")
    assert row[["non_radiology_ap"]].isna().all() and row["non_radiology_datasets"] == "2/2"
    few = "bccd (5)" if other is None else "bccd (5), cpm17 (3)"
    assert row["notes"] == (
        f"non-radiology: no average, as not all datasets have the same images per class to tune on: {few}"
    )
    assert row_of(table, "glip_t", "zero_shot")["non_radiology_ap"] == 39.0  # nothing is tuned there
    write_text(tmp_path / "table1.csv", to_csv(table))
    text = sheet_markdown(table1_sheet(*read_csv(tmp_path / "table1.csv"), suite="mini"))
    label = "5 or all" if other is None else "3 or 5"
    assert f"| ConES (stage 1), {label} shots | 0.20 | 123.06 | {NO_NUMBER} |" in text
    detail = row_of(detail_frame(cells, "table10", suite="mini"), "glip_t", "cones")
    assert detail["bccd_ap"] == 35.0 and detail[["average_ap"]].isna().all() and "no average" in detail["notes"]


def test_the_list_of_cells_has_the_shots_of_what_is_tuned():
    plan = Plan.load("miniature", {"datasets": ["bccd"], "tuning": {"shots": 5}})
    shots = {cell.arm: _expected(plan, cell).shots for cell in plan.cells("table1")}
    assert shots.pop("zero_shot") is None and set(shots.values()) == {5}


def test_costs_and_the_report_tell_few_shot_cells_apart():
    row = {"arm": "cones", "method": "cones", "shots": "1"}
    assert Record(row, {}).label == "ConES (stage 1), 1 shot"
    assert Record({**row, "arm": "cones-n1", "shots": ""}, {}).label == "cones-n1"
