"""The page on classification: its three files, as they are printed, make a table."""

import re

from flow import ROOT, Workflow

from cones.outputs.files import read_csv
from tests.tiny_sets import draw_set

PAGE = (ROOT / "docs/classification.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```\w+ (\S+)\n(.*?)^```$", PAGE, re.M | re.S))


def test_a_set_and_a_method_of_your_own_make_a_table(tmp_path):
    assert set(FILES) == {"config/my_sets.yaml", "class_means.py", "config/birds.yaml"}
    flow = Workflow(tmp_path / "work")
    for name, text in FILES.items():
        (flow.folder / name).write_text(text)
    draw_set(flow.folder / "birds")
    flow.run("results/survey.csv", "--config", "suite=birds")
    rows = {row["arm"]: row for row in read_csv(flow.folder / "results/survey.csv")[1]}
    assert list(rows) == ["zero_shot", "class_means", "taskres"]
    assert all(0 <= float(row["my_birds_accuracy"]) <= 100 for row in rows.values())
    assert float(rows["class_means"]["my_birds_accuracy"]) > 50  # discs and boxes of three colours
    assert (rows["class_means"]["labels"], rows["zero_shot"]["labels"]) == ("train", "none")
    assert (
        int(rows["taskres"]["trained_values"]) == 3 * 128
        and "Class means" in (flow.folder / "results/survey.md").read_text()
    )
