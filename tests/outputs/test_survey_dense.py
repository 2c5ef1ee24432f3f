"""The table of dense prediction from made-up metrics: means over seeds, holes, classes that nobody saw."""

import pytest

from cones.evaluation.classification_metrics import ClassificationMetrics, DenseScore, TargetScore, Trained
from cones.evaluation.metrics import CellKey
from cones.experiment.cell import Cell
from cones.outputs import survey_dense
from cones.outputs.classified import ClassifiedCell, cells_table, read_cells_table
from cones.outputs.files import read_csv, to_csv
from tests.outputs.test_survey import RUN

KNOWN = {"values": 8, "stored_bytes": 32, "text_encoder": 0, "train_images": 16, "val_images": 0}
KNOWN |= {"labels": "train", "selection": "none"}


def cell(arm, mean_iou=None, *, pixels=50.0, seed=1, pictures=16, absent=(), reason=None, **trained):
    place = Cell("s", "m", f"walls-dense{pictures}", arm, seed)
    given = {"cell": CellKey(**vars(place), method=arm), "setting": "dense", "shots": pictures}
    if reason:
        return ClassifiedCell(place, arm, ClassificationMetrics(**given, status="skipped", reason=reason), {})
    dense = DenseScore(mean_iou=mean_iou, per_class={"a": mean_iou}, pixels=100)
    score = TargetScore(accuracy=pixels, images=4, classes=3, absent=absent, dense=dense)
    metrics = ClassificationMetrics(
        **given, status="done", targets={"walls": score}, trained=Trained(**{**KNOWN, **trained})
    )
    return ClassifiedCell(place, arm, metrics, RUN)


def shown(cells, tmp_path):
    path = tmp_path / "survey_dense.csv"
    path.write_text(to_csv(survey_dense.frame(cells_table(cells), suite="s"), 7))
    return survey_dense.sheet(*read_csv(path), suite="s", title="toy; not comparable with the paper")


def test_means_over_seeds_stand_beside_the_share_of_right_pixels(tmp_path):
    cells = [cell("denseclip", 20.0, pixels=60.0), cell("denseclip", 30.0, pixels=80.0, seed=2), cell("zero_shot", 5.0)]
    table = survey_dense.frame(cells_table(cells), suite="s").set_index("arm")
    assert table.loc["denseclip", "miou_accuracy"] == pytest.approx(25.0)
    assert table.loc["denseclip", "pixels_accuracy"] == pytest.approx(70.0)
    assert table.loc["denseclip", "miou_spread"] > 0 and table.loc["zero_shot"].isna()["miou_spread"]
    assert table.loc["zero_shot", ["pictures", "classes", "train_images"]].tolist() == [16, 3, 16]
    rows = {row[3]: row for row in shown(cells, tmp_path).rows}
    assert rows["DenseCLIP"][4] == "25 ± 64" and rows["Zero-shot"][4:6] == ["5.0", "50.0"]
    assert "not comparable" in shown(cells, tmp_path).heading


def test_numbers_of_pictures_are_rows_of_their_own():
    table = survey_dense.frame(cells_table([cell("cones", 10.0), cell("cones", 5.0, pictures=4)]), suite="s")
    assert dict(zip(table["pictures"], table["miou_accuracy"])) == {16: 10.0, 4: 5.0}


def test_notes_say_what_a_reader_must_know(tmp_path):
    cells = [
        cell(
            "denseclip", 20.0, note="image encoder frozen; epochs 2", short_classes={"b": 0, "c d": 0}, absent=("c d",)
        ),
        cell("taskres", reason="is made for the task classification, not for dense"),
    ]
    sheet = shown(cells, tmp_path)
    text = " ".join(sheet.notes)
    assert {"image encoder frozen", "epochs 2"} <= set(
        sheet.notes
    ) and "with nothing to learn from in a seed (middle squares): b, c d" in text
    assert "in no test picture and never answered, so without a number: c d" in text
    assert "walls: skipped: is made for the task classification, not for dense" in text
    assert [row[4] for row in sheet.rows if row[3] == "TaskRes"] == ["\u2013"]


def test_the_list_of_cells_is_read_back(tmp_path):
    path = tmp_path / "cells.csv"
    table = cells_table([cell("cones", 12.3456), cell("taskres", reason="no")])
    path.write_text(to_csv(table, 7))
    again = read_cells_table(path)
    assert again["mean_iou"].tolist()[0] == 12.3456 and again["mean_iou"].isna().tolist() == [False, True]
    assert to_csv(survey_dense.frame(again, suite="s"), 7) == to_csv(survey_dense.frame(table, suite="s"), 7)
