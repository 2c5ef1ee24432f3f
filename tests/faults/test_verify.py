"""`cones verify`, loading and collecting believe nothing that is not as it was recorded."""

import json
import os
import shutil
from pathlib import Path

import pytest

from cones.cli import main as cli
from cones.experiment.cell import Plan
from cones.outputs.files import read_csv
from cones.runtime.artifacts import load_tensors
from cones.runtime.errors import ConesError
from cones.steps.collect import collect_grid
from cones.steps.verify import verify
from cones.training.state import State
from tests.faults.kill_anywhere import PARTS

CELL = Path("results/ci/glip_nano/bccd/cones/seed0")
DATA = Path(PARTS[1]) / "miniature/bccd"
OVERRIDES = {"datasets": ["bccd"], "arms": ["zero_shot", "cones"], "data_dir": PARTS[1]}


def flip(path: Path, place: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def swap_cells() -> None:
    shutil.rmtree(CELL)
    shutil.copytree(CELL.parents[1] / "zero_shot/seed0", CELL)


def test_a_finished_tree_is_as_recorded(tree, capsys):
    cli.verify(Path("results"))
    assert capsys.readouterr().out == "results: 2 cells, 1 dataset, 5 tables: all as recorded\n"
    assert str(verify(CELL)) == "1 cell, 1 dataset, 0 tables"


def test_inputs_are_those_beside_the_tree_not_those_of_where_one_stands(tree, tmp_path, monkeypatch):
    """Two checkouts name their weights alike."""
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "checkpoints").mkdir(parents=True)
    (elsewhere / "checkpoints/glip_nano-seed0.safetensors").write_bytes(b"other weights")
    monkeypatch.chdir(elsewhere)
    assert verify(tree / "results").faults == [] and str(verify(tree / CELL)) == "1 cell, 1 dataset, 0 tables"
    flip(tree / "checkpoints/glip_nano-seed0.safetensors")
    assert "changed after" in str(verify(tree / CELL).faults[0])


SPOILT = {
    "a flipped bit of a state": (lambda: flip(CELL / "state.safetensors"), "state.safetensors: is not the file"),
    "a number": (lambda: change(CELL / "metrics.json", '"ap": ', '"ap": 1'), "metrics.json: is not the file"),
    "a prediction": (lambda: flip(CELL / "predictions.json", -10), "predictions.json: is not the file"),
    "a lost file": (lambda: (CELL / "predictions.json").unlink(), "predictions.json: file is missing"),
    "a lost record": (lambda: (CELL / "run.json").unlink(), "run.json: file is missing"),
    "half a record": (lambda: (CELL / "run.json").write_text('{"sha'), "run.json: not valid JSON"),
    "another cell in this place": (swap_cells, "lies in the place of another cell"),
    "other weights": (lambda: flip(Path("checkpoints/glip_nano-seed0.safetensors")), "changed after"),
    "other text states": (lambda: flip(CELL.parents[1] / "text.safetensors"), "changed after"),
    "another split": (lambda: change(DATA / "test.json", '"area"', '"Area"'), "content changed since it was recorded"),
    "another picture": (
        lambda: flip(next(Path(DATA).rglob("*.jpg"))),
        "a picture is not the one that was prepared",
    ),
    "a number in a table": (lambda: change(Path("results/ci/table1.csv"), ",0", ",9"), "is not what its cells say"),
    "a copied table": (lambda: change(Path("results/table1.csv"), ",0", ",9"), "is not a copy of"),
}


@pytest.mark.parametrize("what", SPOILT)
def test_what_is_off_is_named(tree, capsys, what):
    spoil, words = SPOILT[what]
    spoil()
    with pytest.raises(ConesError, match="not all is as it was recorded"):
        cli.verify(Path("results"))
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("off: ") and words in line and "; next: " in line for line in lines), lines


def test_inputs_that_are_elsewhere_are_not_compared_and_said(tree, capsys):
    shutil.rmtree("checkpoints")
    cli.verify(Path("results"))
    assert "not compared, because it is not here: checkpoints/glip_nano-seed0.safetensors" in capsys.readouterr().out


def test_what_a_killed_process_left_is_named_and_is_no_fault(tree, capsys):
    left = CELL / ".metrics.json.writing-k3x_92ab.json"
    left.touch()
    cli.verify(Path("results"))
    assert f"left by a process that was killed: {left}; nothing reads it" in capsys.readouterr().out
    assert left.exists()


def test_results_of_other_settings_are_named_as_stale_and_are_no_faults(tree, capsys):
    change(Path("config/ci.yaml"), "max_epochs: 1", "max_epochs: 2")
    cli.verify(Path("results"))
    said = capsys.readouterr().out.splitlines()
    of_cells = "stale, so the workflow would make it again: results/"
    stale = [line for line in said if line.startswith(of_cells)]
    assert len(stale) == 4 and all(line.endswith("tuning.max_epochs was 1, is 2") for line in stale)  # 2 cells, 2 steps
    assert any(f"{CELL}/tuning.json" in line for line in stale) and said[-1].endswith("all as recorded")


def test_a_result_without_a_record_of_its_own_is_stale(tree):
    (CELL / "tuning.made_of.json").unlink()
    assert verify(Path("results")).stale.files == {CELL / "tuning.json": "it is not recorded what it was made of"}


def test_cells_that_the_config_lacks_and_those_of_another_place_are_not_compared(tree, tmp_path, monkeypatch, capsys):
    run = CELL / "run.json"
    content = json.loads(run.read_text())
    run.write_text(json.dumps({**content, "overrides": {**OVERRIDES, "arms": ["zero_shot"]}}))
    found = verify(Path("results")).stale
    assert list(found.not_compared) == [CELL] and 'arm "cones" is not in' in found.not_compared[CELL]
    assert not found.files
    monkeypatch.chdir(tmp_path)
    cli.verify(tree / "results")
    assert "not compared with a config: 2 cells, the first because: " in capsys.readouterr().out


def test_tables_by_hand_take_no_cell_whose_data_were_prepared_again_and_failed(tree):
    plan, log = Plan.load("ci", OVERRIDES), Path("logs/data/miniature/bccd/prepare.log")
    (DATA / "manifest.json").unlink()
    log.write_text('error: labels/3.txt: unknown class "cel"\n')
    finished_at = (CELL / "run.json").stat().st_mtime
    os.utime(log, (finished_at - 60,) * 2)  # deleted after a good run: the numbers stand
    collect_grid(plan, "table1")
    assert {row["status"] for row in read_csv(Path("results/ci/table1_cells.csv"))[1]} == {"done"}
    os.utime(log, (finished_at + 60,) * 2)
    collect_grid(plan, "table1")
    rows = read_csv(Path("results/ci/table1_cells.csv"))[1]
    assert {(row["status"], row["reason"]) for row in rows} == {("failed", log.read_text().strip())}


def test_a_folder_without_results_is_one_line(tmp_path):
    with pytest.raises(ConesError, match="there is no cell and no table; next: "):
        verify(tmp_path)


@pytest.mark.parametrize("what", ["a number", "a prediction", "a lost record", "other weights", "other text states"])
def test_tables_refuse_cells_that_are_not_as_recorded(tree, what):
    plan = Plan.load("ci", OVERRIDES)
    collect_grid(plan, "table1")
    spoil, words = SPOILT[what]
    spoil()
    with pytest.raises(ConesError, match=words):
        collect_grid(plan, "table1")
    collect_grid(plan, "table1", partial=True)
    assert words in Path("results/ci/table1_cells.partial.csv").read_text()


def test_a_flipped_bit_in_a_tensor_is_noticed_without_any_record(tree):
    path = CELL / "state.safetensors"
    _, metadata = load_tensors(path)
    assert "tensor_sha256" not in metadata and metadata["base_sha256"]
    flip(path)
    with pytest.raises(ConesError, match=r"the values of \".*\" are not those that were written.*delete it"):
        load_tensors(path)


def test_a_whole_file_of_another_cell_is_noticed_by_the_record(tree):
    recorded = json.loads((CELL / "tuning.json").read_text())["sha256"]["state.safetensors"]
    shutil.copy(CELL.parents[1] / "zero_shot/seed0/state.safetensors", CELL)
    with pytest.raises(ConesError, match="content changed since it was recorded"):
        State.load(CELL / "state.safetensors", recorded)
