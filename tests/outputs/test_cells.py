"""One row per expected cell, whatever became of it."""

import json

import pytest

from cones.outputs.cells import COLUMNS, NO_ERROR_LINE, ExpectedCell, collect_cells, last_line
from cones.runtime.errors import ConesError
from tests.outputs.worlds import grid, metrics_path, write_done, write_world

CELL = ExpectedCell("glip_t", "bccd", "non_radiology", "cones", "cones", 0)


def only(cells):
    assert len(cells) == 1
    return cells.iloc[0]


def test_a_done_cell(tmp_path):
    paths = write_world(tmp_path, "mini", [CELL], lambda cell: 41.25)
    cells = collect_cells([CELL], paths, suite="mini")
    assert tuple(cells.columns) == COLUMNS
    row = only(cells)
    assert (row["status"], row["ap"], row["selected_epoch"], row["trained_paper"]) == ("done", 41.25, 3, 196_608)
    assert row[["reason", "ap_small", "mask_ap"]].isna().all()


def test_a_declared_skip(tmp_path):
    row = only(collect_cells([CELL], write_world(tmp_path, "mini", [CELL], lambda cell: "needs a form"), suite="mini"))
    assert (row["status"], row["reason"]) == ("skipped", "needs a form")


def test_a_method_the_model_cannot_carry():
    cell = ExpectedCell("glip_t", "bccd", "natural", "cones", "cones", 0, "no text input to replace")
    row = only(collect_cells([cell], {}, suite="mini"))
    assert (row["status"], row["reason"]) == ("skipped", "no text input to replace")


def test_failed_and_not_run(tmp_path):
    log = tmp_path / "cell.log"
    log.write_text("epoch 1\r 10 %\r 20 %\n\x1b[31merror: loss is nan at step 7\x1b[0m\n\n")
    row = only(collect_cells([CELL], {}, {CELL: log}, suite="mini"))
    assert (row["status"], row["reason"]) == ("failed", "error: loss is nan at step 7")
    row = only(collect_cells([CELL], {CELL: tmp_path / "none.json"}, {CELL: tmp_path / "none.log"}, suite="mini"))
    assert (row["status"], row["reason"]) == ("not run", "not run")


def test_last_line_of_odd_logs(tmp_path):
    log = tmp_path / "log"
    log.write_bytes(b"\n \n")
    assert last_line(log) == f"{NO_ERROR_LINE}; its last line: nothing"
    log.write_text("epoch 3: loss 0.2\n")
    assert last_line(log) == f"{NO_ERROR_LINE}; its last line: epoch 3: loss 0.2"
    log.write_bytes(b"\xff" + b"x" * 500)
    assert len(last_line(log)) == 200
    assert last_line(None) is None


def test_a_malformed_file_stops_a_whole_table_but_not_a_partial_one(tmp_path):
    paths = write_world(tmp_path, "mini", [CELL], lambda cell: 1.0)
    paths[CELL].write_text("{")
    with pytest.raises(ConesError, match="not valid JSON"):
        collect_cells([CELL], paths, suite="mini")
    row = only(collect_cells([CELL], paths, suite="mini", partial=True))
    assert row["status"] == "failed" and "not valid JSON" in row["reason"]


@pytest.mark.parametrize("key, value", [("dataset", "aquarium"), ("seed", 1), ("suite", "paper"), ("arm", "cones-n1")])
def test_the_file_of_another_cell_is_refused(tmp_path, key, value):
    paths = write_world(tmp_path, "mini", [CELL], lambda cell: 1.0)
    content = json.loads(paths[CELL].read_text())
    content["cell"][key] = value
    paths[CELL].write_text(json.dumps(content))
    with pytest.raises(ConesError, match=f"{key} is that of another cell"):
        collect_cells([CELL], paths, suite="mini")


def test_a_cell_expected_twice_is_refused():
    with pytest.raises(ConesError, match="expected twice"):
        collect_cells([CELL, CELL], {}, suite="mini")


def test_any_object_with_the_attributes_serves(tmp_path):
    class Cell:
        model, dataset, group, arm, method, seed = "glip_t", "bccd", "natural", "cones", "cones", 0
        unsupported_reason = tokens_per_class = losses = initial_seed = block = shots = None

    cell = Cell()
    path = metrics_path(tmp_path, "mini", cell)
    write_done(path, "mini", cell, 12.5)
    assert only(collect_cells([cell], {cell: path}, suite="mini"))["ap"] == 12.5


def test_rows_are_in_the_order_given(tmp_path):
    cells = grid(datasets=("bccd", "tn3k"))[::-1]
    frame = collect_cells(cells, {}, suite="mini")
    assert list(frame["method"]) == [cell.method for cell in cells]
