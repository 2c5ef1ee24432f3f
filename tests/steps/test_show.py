"""`show` prints any finished table: known by its name, folded where the terminal is narrow, whole in what it says."""

import io
from pathlib import Path

import pytest
from rich.console import Console

from cones.experiment.outputs import OUTPUTS
from cones.outputs.make import make_output
from cones.runtime.errors import ConesError
from cones.steps.show import show_table
from tests.outputs.report.suites import finished


def shown(name, width=100):
    console = Console(file=io.StringIO(), width=width)
    show_table(Path("results/miniature") / name, console)
    return console.file.getvalue()


def test_any_table_of_a_suite_is_shown(tmp_path, monkeypatch):
    plan = finished(tmp_path, monkeypatch)
    make_output(plan, "table7")
    there = [name for name in OUTPUTS if Path(f"results/miniature/{name}.csv").exists()]
    assert {"table1", "table7", "table8", "table10", "ranks", "efficiency"} <= set(there)
    for name in there:
        text = shown(f"{name}.csv")
        assert "suite: miniature" in text and "not comparable with the paper" in text
    assert "CottontailRabbits" in shown("table7.csv") and "not prepared yet" in shown("table7.csv")


@pytest.mark.parametrize("width", [60, 100, 300])
def test_what_does_not_fit_goes_below_with_the_names_again(tmp_path, monkeypatch, width):
    finished(tmp_path, monkeypatch)
    text = shown("table8.csv", width)
    table = text[text.index("method") : text.index("AP: COCO")].splitlines()
    assert max(map(len, table)) <= width
    assert sum("ConES (stage 1)" in line for line in table) == {60: 5, 100: 3, 300: 1}[width]
    words = " ".join(table).split()
    for name in ("PascalVOC", "Thermal", "average"):
        assert words.count(name) == 1


def test_other_files_end_in_one_line(tmp_path, monkeypatch):
    finished(tmp_path, monkeypatch, datasets=["bccd"])
    with pytest.raises(ConesError, match="did you mean"):
        shown("tabel8.csv")
    Path("results/miniature/table5.csv").write_text("suite,b\nminiature,2\n")
    with pytest.raises(ConesError, match="not a table5 of this version"):
        shown("table5.csv")
    with pytest.raises(ConesError, match="file is missing"):
        shown("table9.csv")
