"""A suite of instance segmentation alone, without Table 1, has a report and comparisons too."""

from pathlib import Path

import pytest

from cones.experiment.cell import Plan
from cones.outputs.make import make_output
from cones.runtime.artifacts import write_json
from cones.runtime.errors import ConesError
from cones.steps.collect import collect_grid
from cones.steps.compare import compare_arms, main_grid
from cones.steps.finish import finish_run
from cones.steps.report import write_report
from tests.made import made_by
from tests.outputs.report.suites import ROOT
from tests.outputs.worlds import write_done, write_run

BOX = [10.0, 10.0, 40.0, 40.0]
TEST = {
    "images": [{"id": number, "width": 100, "height": 100} for number in (1, 2)],
    "categories": [{"id": 1, "name": "ulcer"}],
    "annotations": [
        {"id": number, "image_id": number, "category_id": 1, "bbox": BOX, "area": 1600.0, "iscrowd": 0}
        for number in (1, 2)
    ],
}


class _Cell:
    """What the writers of made-up cells ask of one."""

    def __init__(self, cell):
        self.__dict__.update(vars(cell), group="segmentation", method=cell.arm)


@pytest.fixture
def plan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("config", "datasets.yaml"):
        Path(name).symlink_to(ROOT / name)
    plan = Plan.load("fuseg")
    for cell in plan.cells("table2"):
        path = cell.folder / "metrics.json"
        write_done(path, "fuseg", _Cell(cell), 40.0 + len(cell.arm), 30.0 + len(cell.arm))
        write_run(path, _Cell(cell))
        box = BOX if cell.arm == "cones" else [60.0, 60.0, 30.0, 30.0]
        found = [{"image_id": number, "category_id": 1, "bbox": box, "score": 0.9} for number in (1, 2)]
        write_json(cell.folder / "predictions.json", found)
    data = plan.data_folder("fuseg")
    write_json(data / "test.json", TEST)
    write_json(data / "manifest.json", {"status": "skipped", "reason": "made up", "detections_per_image": 100})
    made_by(plan)
    collect_grid(plan, "table2")
    for name in ("table2", "table7", "efficiency"):
        make_output(plan, name)
    return plan


def test_its_report_has_its_own_sections_and_no_table_1(plan):
    (path,) = write_report(plan)
    page = path.read_text()
    for section in ("table2", "table7", "efficiency", "tuned", "missing", "made"):
        assert f'id="{section}"' in page and f'href="#{section}"' in page
    assert "45.0" in page and "35.0" in page and "uninext_nano" in page
    assert 'id="figure"' not in page and "Table 1:" not in page and "not in this suite" not in page


def test_a_run_ends_in_its_only_table_printed(plan, capsys):
    finish_run(plan, overrides={}, failed=False)
    said = capsys.readouterr().out
    assert said.startswith("Table 2 · suite: fuseg") and "The table: results/fuseg/table2.csv" in said


def test_its_arms_are_compared_on_the_datasets_of_table_2(plan):
    ((dataset, found),) = compare_arms(plan, ("cones", "zero_shot"), model=None, datasets=[], seed=0, draws=20)
    assert dataset == "fuseg" and (found.ap_a, found.ap_b) == (100.0, 0.0) and found.images == 2


def test_a_suite_whose_cells_nobody_scores_has_nothing_to_compare():
    with pytest.raises(ConesError, match="no arm of the suite is scored"):
        main_grid(Plan.load("dreambooth"))
