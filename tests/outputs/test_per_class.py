"""The AP of each class: one row per class and arm, means over seeds, and a table that can be read."""

import pytest

from cones.evaluation.coco_ap import STATISTICS
from cones.evaluation.metrics import CellKey, CellMetrics, ClassScores, Parameters, Scores
from cones.experiment.cell import Plan
from cones.outputs.files import read_csv, to_csv
from cones.outputs.make import make_output
from cones.outputs.per_class import frame, sheet
from cones.outputs.sheet import sheet_markdown
from cones.runtime.artifacts import read_json, write_json
from tests.outputs.report.suites import finished

COUNT = {"trained": 1, "total": 2, "text_encoder": 0}


def scores(**classes):
    per_class = [
        ClassScores(category_id=n, name=name, ap=ap, ap50=None if ap is None else ap + 10)
        for n, (name, ap) in enumerate(classes.items(), start=1)
    ]
    counts = {"images": 4, "boxes": 9, "detections": 20}
    return Scores(**dict.fromkeys(STATISTICS), per_class=per_class, categories_not_annotated=[], **counts)


def cell(arm, seed=0, method=None, dataset="bccd", **by_kind):
    return CellMetrics(
        cell=CellKey(suite="ci", model="nano", dataset=dataset, arm=arm, method=method or arm, seed=seed),
        group="natural",
        task="detection",
        status="done",
        scores=by_kind,
        parameters=Parameters(used=COUNT, paper=COUNT),
    )


def shown(cells, tmp_path):
    (tmp_path / "per_class.csv").write_text(to_csv(frame(cells, suite="ci")))
    return sheet(*read_csv(tmp_path / "per_class.csv"), suite="ci")


def test_classes_stand_against_methods_with_means_over_seeds(tmp_path):
    cells = [
        cell("cones", bbox=scores(RBC=40.0, WBC=10.0)),
        cell("cones", seed=1, bbox=scores(RBC=42.0, WBC=10.0)),
        cell("cones-n1", method="cones", bbox=scores(RBC=None, WBC=7.25)),
    ]
    table = frame(cells, suite="ci")
    first = table.iloc[0]
    assert (first["class"], first["seeds"], first["ap"], first["ap50"]) == ("RBC", 2, 41.0, 51.0)
    assert first["spread"] == pytest.approx(12.706, abs=1e-3)  # t of one degree of freedom times 1
    (page,) = shown(cells, tmp_path)
    assert page.heads == ["dataset", "class", "ConES (stage 1)", "cones-n1"]
    assert page.rows == [["BCCD", "RBC", "41 ± 13", "–"], ["BCCD", "WBC", "10.0 ± 0.0", "7.3"]]  # noqa: RUF001
    assert "no box of the class" in " ".join(page.legend) and "over 2 seeds" in " ".join(page.legend)
    assert "|  | WBC | 10.0 ± 0.0 | 7.3 |" in sheet_markdown(page)


def test_masks_have_a_table_of_their_own_and_a_missing_cell_a_dash(tmp_path):
    cells = [
        cell("cones", bbox=scores(polyp=50.0), segm=scores(polyp=40.0), dataset="kvasir_seg"),
        cell("cones", bbox=scores(ulcer=30.0), segm=scores(ulcer=20.0), dataset="own"),
        cell("zero_shot", bbox=scores(ulcer=3.0), segm=scores(ulcer=2.0), dataset="own"),
    ]
    box, mask = shown(cells, tmp_path)
    assert box.heading.startswith("Box AP of each class, nano") and mask.heading.startswith(
        "Mask AP of each class, nano"
    )
    assert mask.rows == [["Kvasir-SEG", "polyp", "40.0", "–"], ["own", "ulcer", "20.0", "2.0"]]  # noqa: RUF001


def test_it_is_made_of_the_cells_that_have_numbers(tmp_path, monkeypatch):
    plan = finished(tmp_path, monkeypatch, suite="ci")
    path = plan.cell("glip_nano", "bccd", "cones", 0).folder / "metrics.json"
    content = read_json(path)
    content["scores"]["bbox"]["per_class"] = [{"category_id": 1, "name": "WBC", "ap": 12.5, "ap50": 30.0}]
    write_json(path, content)
    csv, markdown, *_ = make_output(plan, "per_class")
    assert csv.read_text().splitlines()[1:] == ["ci,glip_nano,box,bccd,WBC,cones,cones,1,12.5,,30.0"]
    assert "not comparable with the paper" in markdown.read_text()


def test_a_suite_without_numbers_has_an_empty_table(tmp_path, monkeypatch):
    plan = finished(tmp_path, monkeypatch, suite="ci", outcomes=lambda cell: None)
    csv, markdown, *_ = make_output(plan, "per_class")
    assert len(csv.read_text().splitlines()) == 1 and "No cell of this suite" in markdown.read_text()


def test_the_paper_suite_reads_the_cells_of_its_tables_of_methods_alone():
    from cones.experiment.outputs import OUTPUTS
    from cones.outputs.make import reading

    plan = Plan.load("miniature")
    paths = reading(OUTPUTS["per_class"]).inputs(plan, OUTPUTS["per_class"])
    arms = {path.parts[-3] for path in paths if path.name == "metrics.json"}
    assert "cones" in arms and "cones-n1" not in arms and "cones-cls" not in arms
    lists = {f"{grid}_cells.csv" for grid in ("table1", "table1_modern", "table2")}
    assert {path.name for path in paths} == {"metrics.json", *lists}
