"""A fine-tune of one's own in a directory of the hub's layout: a short plug-in takes it through the workflow."""

import csv
import json
from dataclasses import replace

import pytest

from cones.models.grounding_dino.config import SIZES
from cones.models.text_sizes import NANO_VOCABULARY
from cones.runtime.artifacts import load_tensors, sha256
from tests.models.grounding_dino_reference import reference_model

PLUG_IN = '''"""A Grounding DINO of nano size under a name of its own."""

from cones.models.grounding_dino.config import SIZES
from cones.models.grounding_dino.family import GroundingDINOFamily

MODEL = {"name": "mine", "class": "Mine", "models": ["my_gdino"], "official": "official.yaml"}
SIZES["my_gdino"] = SIZES["grounding_dino_nano"]


class Mine(GroundingDINOFamily):
    """Everything as the family has it."""
'''
SUITE = """like: ci
suite: own
title: weights of one's own, one epoch; not comparable with the paper
plugins: [../../mine]
datasets: [bccd]
arms: [zero_shot, cones]
models:
  my_gdino: {tokens_per_class: 2, learning_rate: {cones: 1.0e-1}}
grids: {table1_modern: {models: [my_gdino]}}
"""


def test_a_directory_of_the_hub_goes_through_the_workflow_to_a_score(workflow, monkeypatch):
    pytest.importorskip("transformers", reason="transformers is not installed: it writes the directory")
    folder = workflow.folder.parent
    (folder / "mine").mkdir()
    (folder / "mine/__init__.py").write_text(PLUG_IN)
    (folder / "mine/official.yaml").write_text("my_gdino: {filename: my-gdino.safetensors}\n")
    (workflow.folder / "config/own.yaml").write_text(SUITE)
    nano = SIZES["grounding_dino_nano"]
    pieces = len(NANO_VOCABULARY.read_text(encoding="utf-8").splitlines())
    reference_model(replace(nano, text=replace(nano.text, vocabulary=pieces))).save_pretrained(folder / "hub")

    said = workflow.run("results/table1_modern.csv", "--config", "suite=own", check=False)
    assert "my-gdino.safetensors cannot be had" in said and "set CONES_MY_GDINO" in said
    monkeypatch.setenv("CONES_MY_GDINO", str(folder / "hub"))
    workflow.run("results/table1_modern.csv", "--config", "suite=own")

    record = json.loads((workflow.folder / "checkpoints/official/my_gdino.json").read_text())
    assert record["sha256"] == sha256(folder / "hub/model.safetensors")
    assert record["sha256"] in load_tensors(workflow.folder / "checkpoints/my_gdino.safetensors")[1]["recipe"]
    with open(workflow.folder / "results/own/table1_modern_cells.csv", newline="") as file:
        cells = {row["arm"]: row for row in csv.DictReader(file)}
    assert {cell["status"] for cell in cells.values()} == {"done"} and set(cells) == {"zero_shot", "cones"}
    with open(workflow.folder / "results/table1_modern.csv", newline="") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert all(rows[arm]["bccd_ap"] and rows[arm]["non_radiology_datasets"] == "1/1" for arm in cells)
    for arm in cells:
        cell = workflow.folder / f"results/own/my_gdino/bccd/{arm}/seed0"
        assert 0 <= json.loads((cell / "metrics.json").read_text())["scores"]["bbox"]["ap"] <= 100
        assert json.loads((cell / "predictions.json").read_text())
