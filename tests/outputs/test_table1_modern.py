"""Table 1 of detectors that the paper does not have: published numbers stand apart, and say of what they are."""

import math

import pytest

from cones.outputs.cells import collect_cells
from cones.outputs.files import to_csv
from cones.outputs.reference import GROUPS
from cones.outputs.sheet import sheet_markdown
from cones.outputs.table1 import frame as table1
from cones.outputs.table1_modern import NOT_PUBLISHED, frame, published, sheet
from cones.outputs.wording import NO_NUMBER
from tests.outputs.worlds import grid, row_of, write_world

MODELS = ("gdino_t", "mm_gdino_t", "llmdet_t")
NATURAL = GROUPS["natural"].datasets


def cells_in(folder, suite, models=MODELS, ap_of=lambda cell: 40.0, **which):
    cells = grid(models=models, **which)
    return collect_cells(cells, write_world(folder, suite, cells, ap_of), None, suite=suite)


@pytest.mark.parametrize("model", published()["models"])
def test_published_numbers_are_of_the_thirteen_datasets_and_give_their_average(model):
    numbers = published()["models"][model]
    assert set(numbers) == {*NATURAL, "average"}
    mean = sum(numbers[name] for name in NATURAL) / len(NATURAL)
    assert mean == pytest.approx(numbers["average"], abs=0.06)


def test_published_numbers_stand_beside_zero_shot_in_columns_that_say_of_what_they_are(tmp_path):
    table = frame(cells_in(tmp_path, "modern"), suite="modern")
    columns = [name for name in table.columns if "published" in name]
    assert columns == [f"{name}_published_valid" for name in ("natural", *NATURAL)]
    zero_shot = row_of(table, "gdino_t", "zero_shot")
    assert (zero_shot["natural_ap"], zero_shot["natural_published_valid"]) == (40.0, 51.4)
    assert zero_shot["pothole_published_valid"] == 21.5 and zero_shot["pothole_ap"] == 40.0
    assert math.isnan(row_of(table, "gdino_t", "cones")["natural_published_valid"])
    unknown = row_of(table, "llmdet_t", "zero_shot")
    assert math.isnan(unknown["natural_published_valid"]) and unknown["notes"] == NOT_PUBLISHED
    assert not any("difference" in name for name in table.columns)


def test_people_read_split_and_prompts_in_the_head(tmp_path):
    table = frame(cells_in(tmp_path, "modern"), suite="modern")
    rows = [{name: str(value) for name, value in row.items()} for row in read_back(table)]
    averages, zero_shot = map(sheet_markdown, sheet(list(table.columns), rows, suite="modern"))
    assert "natural, published (valid, prompts partly by hand)" in averages
    assert "another split and other prompts" in averages.lower() and "300 detections" in averages
    assert "gdino_t, test | gdino_t, published (valid, prompts partly by hand)" in zero_shot
    assert f"| pothole | 40.0 | 21.5 | 40.0 | 19.9 | 40.0 | {NO_NUMBER} |" in zero_shot


def test_elsewhere_there_is_nothing_published(tmp_path):
    """Numbers of toy datasets have nothing to do with those of real ones, whatever the model is called."""
    table = frame(cells_in(tmp_path, "miniature"), suite="miniature")
    assert not any("published" in name for name in table.columns)
    assert table["notes"].isna().all()
    assert len(sheet(list(table.columns), read_back(table), suite="miniature")) == 1


def test_the_averages_are_those_of_table_1(tmp_path):
    aps = iter(range(1000))
    which = {"datasets": ("aquarium", "pothole", "bccd", "tn3k"), "seeds": (0, 1)}
    cells = cells_in(tmp_path, "mini", models=("grounding_dino_nano",), ap_of=lambda cell: next(aps) / 7, **which)
    ours, theirs = frame(cells, suite="mini"), table1(cells, suite="mini")
    shared = [name for name in theirs.columns if name in ours.columns]
    assert {"natural_ap", "natural_spread", "radiology_datasets", "all_M", "seeds"} <= set(shared)
    assert ours[shared].equals(theirs[shared])


def test_a_hole_is_a_note_and_no_number(tmp_path):
    def ap_of(cell):
        return "pretrained on it" if (cell.dataset, cell.method) == ("pothole", "zero_shot") else 40.0

    row = row_of(frame(cells_in(tmp_path, "modern", ap_of=ap_of), suite="modern"), "gdino_t", "zero_shot")
    assert row["natural_datasets"] == "12/13" and "pothole: skipped (pretrained on it)" in row["notes"]
    assert math.isnan(row["pothole_ap"])


def read_back(table):
    """The rows as text, as they come from the CSV file."""
    import csv
    import io

    return list(csv.DictReader(io.StringIO(to_csv(table))))
