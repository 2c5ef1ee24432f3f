"""The files of a finished run, their repeatability, and how they read."""

import io
import subprocess
import sys

import pytest
from rich.console import Console

from cones.experiment.outputs import OUTPUTS
from cones.outputs.cells import cells_csv, collect_cells, read_cells
from cones.outputs.files import partial_name, to_csv
from cones.outputs.make import reading
from cones.outputs.table1 import read_rows
from cones.outputs.wording import heading
from cones.runtime.errors import ConesError
from cones.steps.show import show_table
from tests.outputs.worlds import collect, grid, write_world


def ap_of(cell):
    if cell.dataset == "luna16":
        return "needs a login: see docs/datasets.md"
    if cell.method == "full_finetuning" and cell.dataset == "pothole":
        return None
    return 40.0 + len(cell.dataset) + cell.seed + (10 if cell.method == "cones" else 0)


def finished(folder, suite="miniature", **options):
    models = ("glip_t", "glip_l") if suite == "paper" else ("glip_nano", "glip_nano_deep")
    cells = grid(models=models, seeds=(0, 1, 2))
    paths = write_world(folder, suite, cells, ap_of)
    return collect(suite=suite, grid="table1", expected=cells, metrics=paths, out_dir=folder / suite, **options)


def printed(path, width=100):
    console = Console(file=io.StringIO(), width=width)
    show_table(path, console)
    return console.file.getvalue()


FILES = [
    "table1_cells.csv",
    *(f"{table}{kind}" for table in ("table1", "table8", "table10", "ranks") for kind in (".csv", ".md", ".data.json")),
]


@pytest.mark.parametrize("name", OUTPUTS)
def test_every_output_can_be_read_made_and_shown(name):
    output = OUTPUTS[name]
    module = output.load()
    asked = ["frame", "sheet", *["draw"] * bool(output.figures), *["further"] * bool(output.further)]
    assert all(callable(getattr(module, function)) for function in asked)
    assert all(callable(getattr(reading(output), each)) for each in ("inputs", "settings", "is_begun", "read"))


def test_the_files_are_the_same_every_time(tmp_path):
    first = [path.read_bytes() for path in finished(tmp_path)]
    paths = finished(tmp_path)
    assert [path.name for path in paths] == FILES
    assert [path.read_bytes() for path in paths] == first
    assert not any(b"\r" in content for content in first)
    assert sorted(path.name for path in (tmp_path / "miniature").glob("*.*")) == sorted(FILES)


def test_partial_files_have_names_of_their_own(tmp_path):
    paths = finished(tmp_path, partial=True)
    assert [path.name for path in paths] == [partial_name(name) for name in FILES]
    for path in paths[2::3]:
        assert "some cells failed or did not run" in path.read_text().splitlines()[0]


def test_markdown_reads_well(tmp_path):
    text = finished(tmp_path, title="toy datasets, not comparable with the paper")[2].read_text()
    lines = text.splitlines()
    assert lines[0] == "# Table 1 · suite: miniature — toy datasets, not comparable with the paper"
    table = [line for line in lines if line.startswith("|")]
    assert len(table) == 2 + 14 and len({line.count("|") for line in table}) == 1
    assert "paper" not in table[0]
    assert any("ConES (stage 1)" in line and "(3/4)" in line for line in table)
    assert "1. luna16: skipped (needs a login: see docs/datasets.md)" in lines
    assert "2. pothole: not run" in lines


def test_every_suite_but_the_papers_says_that_it_is_not_comparable():
    assert heading("paper") == "Table 1 · suite: paper"
    assert heading("bccd") == "Table 1 · suite: bccd — not comparable with the paper"
    assert heading("bccd", "real cells").endswith("— real cells, not comparable with the paper")
    assert heading("ci", "toys, not comparable with the paper").count("not comparable") == 1


def test_odd_reasons_break_no_table(tmp_path):
    cells = grid(models=("glip_nano",), methods=("cones",), datasets=("bccd",))
    metrics = write_world(tmp_path, "bccd", cells, lambda cell: "first\nsecond | <third>, 'fourth'")
    paths = collect(suite="bccd", grid="table1", expected=cells, metrics=metrics, out_dir=tmp_path)
    assert paths[2].read_text().endswith("\n1. bccd: skipped (first second / \\<third>, 'fourth')\n")
    assert "[1] bccd: skipped (first second / <third>, 'fourth')" in printed(paths[1])


def test_markdown_of_the_paper_suite_has_the_published_numbers(tmp_path):
    text = finished(tmp_path, suite="paper")[2].read_text()
    assert text.splitlines()[0] == "# Table 1 · suite: paper"
    row = next(line for line in text.splitlines() if "ConES (stage 1)" in line)
    assert "| 123.06 |" in row and "| 63.8 |" in row
    assert "slip in the paper" in text


@pytest.mark.parametrize("suite", ["miniature", "paper"])
def test_the_terminal_print_fits_100_columns(tmp_path, suite):
    text = printed(finished(tmp_path, suite=suite)[1])
    assert max(map(len, text.splitlines())) <= 100
    assert "…" not in text
    assert text.count("ConES (stage 1)") == 2
    assert f"suite: {suite}" in text
    assert "[1] luna16: skipped" in text
    assert ("(vs paper)" in text) == (suite == "paper")


def test_groups_the_suite_does_not_have_are_left_out(tmp_path):
    cells = grid(models=("glip_nano",), datasets=("bccd",))
    paths = collect(
        suite="bccd",
        grid="table1",
        expected=cells,
        metrics=write_world(tmp_path, "bccd", cells, ap_of),
        out_dir=tmp_path,
    )
    assert "natural" not in paths[2].read_text() and "natural" not in printed(paths[1])
    assert "± " not in paths[2].read_text()


def test_no_row_for_table_1(tmp_path):
    paths = collect(suite="empty", grid="table1", expected=[], metrics={}, out_dir=tmp_path)
    assert "No cell of this suite" in paths[2].read_text()
    assert "No cell of this suite" in printed(paths[1])


def test_nothing_half_written_when_a_file_is_malformed(tmp_path):
    cells = grid(models=("glip_nano",), datasets=("bccd",))
    metrics = write_world(tmp_path / "cells", "bccd", cells, ap_of)
    metrics[cells[0]].write_text("{")
    with pytest.raises(ConesError):
        collect(suite="bccd", grid="table1", expected=cells, metrics=metrics, out_dir=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n"])
def test_other_files_are_not_printed(tmp_path, text):
    (tmp_path / "table1.csv").write_text(text)
    with pytest.raises(ConesError, match="not a Table 1 of this version"):
        read_rows(tmp_path / "table1.csv")
    with pytest.raises(ConesError, match="file is missing"):
        read_rows(tmp_path / "none.csv")


def test_importing_the_outputs_imports_nothing_heavy():
    """Rules are parsed with them."""
    heavy = ("torch", "pandas", "scipy", "numpy", "pycocotools", "rich", "matplotlib", "PIL")
    code = (
        "import sys; from cones.experiment.outputs import OUTPUTS; from cones.outputs.make import reading;"
        "[(output.load(), reading(output)) for output in OUTPUTS.values()];"
        f"print([m for m in {heavy} if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_the_list_of_cells_loses_nothing_on_the_way_to_a_table(tmp_path):
    cells = grid(models=("glip_nano",), methods=("cones", "zero_shot"))
    metrics = write_world(
        tmp_path, "ci", cells, lambda cell: "no" if cell.dataset == "tn3k" else round(len(cell.dataset) / 3, 6)
    )
    found = collect_cells(cells, metrics, suite="ci")
    (tmp_path / "cells.csv").write_text(cells_csv(found))
    again = read_cells(tmp_path / "cells.csv")
    assert cells_csv(again) == cells_csv(found)
    for output in OUTPUTS.values():
        if output.reads == "scores":
            frame = output.load().frame
            assert to_csv(frame(again, suite="ci")) == to_csv(frame(found, suite="ci"))
