"""The page on extending: each of its files, as it is printed, does what the page says, from outside of the checkout."""

import csv
import json
import re
import subprocess
import sys

import pytest
import torch
from flow import ROOT, Workflow

from cones.data.download import fetch
from cones.data.prepare import prepare
from cones.experiment.cell import Plan
from cones.experiment.plugins import load_plugins
from cones.models.checkpoints import build_detector, build_text_encoder, initial_state
from cones.models.glip.config import SIZES
from tests.data.made_up import jpeg

PAGE = (ROOT / "docs/extending.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^```\w+ (\S+)\n(.*?)^```$", PAGE, re.M | re.S))


@pytest.fixture
def flow(tmp_path):
    """A working folder with suites and registries of the page, and plug-ins in a folder beside it."""
    flow = Workflow(tmp_path / "work")
    for name, text in FILES.items():
        path = (flow.folder if name.endswith(".yaml") else tmp_path / "mine") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    yield flow
    load_plugins([], suite_file=flow.folder / "config/mine.yaml")


def test_the_page_has_all_the_files_it_speaks_of():
    assert set(FILES) == {
        *("my_method.py", "config/mine.yaml"),
        *("my_format.py", "my_cells.yaml", "config/my_cells.yaml"),
        *("my_model/__init__.py", "config/my_model.yaml"),
        "my_table.py",
    }


def by_method(path):
    with open(path, newline="") as file:
        return {row["method"]: row for row in csv.DictReader(file)}


def test_a_method_of_your_own_gets_its_row_and_a_table_of_your_own_is_made(flow):
    said = flow.run("results/table1.csv", "results/gains.csv", "--config", "suite=mine")
    rows, cells = (
        by_method(flow.folder / "results/table1.csv"),
        by_method(flow.folder / "results/mine/table1_cells.csv"),
    )
    assert rows["scaled_concepts"]["block"] == rows["cones"]["block"] == "peft"
    assert int(cells["scaled_concepts"]["trained_used"]) == int(cells["cones"]["trained_used"]) + 3  # a scale per class
    assert "Scaled concepts" in said and "Scaled concepts" in (flow.folder / "results/table1.md").read_text()
    gains = by_method(flow.folder / "results/gains.csv")
    assert gains.keys() == {"cones", "scaled_concepts"}
    gained = float(cells["cones"]["ap"]) - float(cells["zero_shot"]["ap"])
    assert float(gains["cones"]["gain"]) == pytest.approx(gained, abs=1e-4)  # as CSV files round
    assert "Scaled concepts" in (flow.folder / "results/mine/gains.md").read_text()
    cell = flow.cell("bccd", "scaled_concepts", suite="mine")
    assert list(json.loads((cell / "tuning.json").read_text())["plugins"]) == ["my_method"]
    assert "ended with 0: tune" in (flow.folder / "logs/warm.log").read_text()

    # the table is made again of its cells where nobody knows the plug-in
    command = [sys.executable, "-m", "cones", "verify", "results"]
    subprocess.run(command, cwd=flow.folder, env=flow.environment, check=True, capture_output=True, timeout=300)

    plug_in = flow.folder.parent / "mine/my_method.py"
    plug_in.write_text(plug_in.read_text().replace("torch.ones(", "2 * torch.ones("))
    planned = flow.planned("results/table1.csv", "--config", "suite=mine")
    assert planned["tune"] == 1 and planned["evaluate"] == 1


def test_a_format_of_your_own_is_prepared(flow, monkeypatch):
    monkeypatch.chdir(flow.folder)
    for n in range(10):
        for name, content in ((f"images/{n}.jpg", jpeg(40, 30)), (f"labels/{n}.txt", b"1 0.5 0.5 0.5 0.2\n")):
            path = flow.folder / "pictures" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    plan = Plan.load("my_cells")
    fetch(plan.registry["my_cells"], "official", "data")
    manifest = prepare(plan.registry["my_cells"], "official", "data")
    assert (
        manifest["status"] == "ready"
        and manifest["converter"]["name"] == "square_labels"
        and manifest["converter"]["digest"]
    )
    document = json.loads((flow.folder / "data/official/my_cells/train.json").read_text())
    assert document["annotations"][0]["bbox"] == [10.0, 12.0, 20.0, 6.0]
    assert document["annotations"][0]["category_id"] == 2  # white cell


def test_a_model_of_your_own_is_built(flow, monkeypatch):
    monkeypatch.chdir(flow.folder)
    monkeypatch.setitem(SIZES, "glip_pico", None)  # the model's file sets it; it is gone again after this test
    plan = Plan.load("my_model")
    assert [cell.model for cell in plan.all_cells()] == ["glip_pico"] * 2
    mine, nano = build_detector("glip_pico"), build_detector("glip_nano")
    assert sum(p.numel() for p in mine.parameters()) < sum(p.numel() for p in nano.parameters())
    state = initial_state("glip_pico", 0)
    assert state.keys() > mine.state_dict().keys() and len(state) == len(mine.state_dict()) + len(
        build_text_encoder("glip_pico").state_dict()
    )
    assert all(torch.isfinite(tensor).all() for tensor in state.values() if tensor.is_floating_point())
