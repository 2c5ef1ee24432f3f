"""Cells of `clip_nano` on a tiny drawn set in class folders, cut short enough for a pretended GPU."""

import os
from pathlib import Path

import yaml

from baselines.text_prompts.tpt import TPT
from baselines.training_free import written_texts
from cones.experiment.cell import Cell, Plan
from cones.experiment.classification_cells import cells_before, classification_cell
from cones.runtime.artifacts import read_json
from cones.runtime.sources import ROOT
from cones.steps import self_supervise
from cones.steps.classified_cell import classify_cell
from cones.steps.encode_images import encode_images
from cones.steps.weights import make_weights
from cones.training.simclr import SimCLRRecipe
from tests.steps.tiny_cells import run
from tests.tiny_sets import CLASSES, write_tiny

MODEL, DATASET, SETTING = "clip_nano", "shapes", "shapes-2shot"
ON_GPU = {"device": "gpu", "allow_cpu": False}
SHORT = {"epochs": 2, "warmup_epochs": 0, "batch_size": 4}  # of six images: a batch of two, too


def _short(**options) -> dict:
    return {"recipe": {**SHORT, "options": options}}


ADAPTED = {
    **dict.fromkeys(["zero_shot", "zero_shot_ensemble", "cupl", "vcd", "linear_probing", "tip_adapter"]),
    "calip": {"recipe": {"options": {"steps": 10}}},
    **{
        arm: _short()
        for arm in (
            *("zs_linear_probe", "taskres", "clip_adapter", "tip_adapter_f", "svl_adapter", "vt_clip", "wise_ft"),
            *("cones", "cones_finetuned", "full_finetuning"),
        )
    },
}
PROMPTED = {  # contexts of the text encoder's input
    "coop": _short(vectors=2),
    "kgcoop": _short(),
    "prograd": _short(vectors=2),
    "subpt": _short(vectors=2, epochs_seen=2, rank=1),
    "upl": _short(vectors=2, runs=2),
    "cocoop": _short(),
    "plot": _short(vectors=2, contexts=2),
    "variational": _short(draws=2),
    "lasp": _short(),
    "tpt": {"recipe": {"options": {"rate": 0.1}}},
}
PICTURED = {  # vectors and weights of the image encoder, of both encoders, pixels
    "vp": _short(),
    "vpt_deep": _short(tokens=2),
    "reprompt": _short(tokens=2, neighbours=2),
    "dpt": _short(vectors=2, tokens=2, first_epochs=1),
    "clip_lora": {"recipe": {**SHORT, "max_steps": 4}},
    "wise_ft_full": _short(),
    "plot_pp": _short(),
    "maple": _short(depth=3),
    "ivlp": _short(depth=3),
    "promptsrc": _short(depth=3),
    "upt": _short(),
    "mvlpt": _short(),
}
HOLES = {
    "protect": "tree of the classes",
    "softcpt": "on several data sets at once",
    "mvlpt_tasks": "on several data sets at once",
    **dict.fromkeys(["dualcoop", "tai_dpt", "maskclip", "denseclip"], "no form for one class a picture"),
}
FITTED = ADAPTED | PROMPTED | PICTURED
TRAINED = {arm for arm, changes in FITTED.items() if "epochs" in (changes or {}).get("recipe", {})}
ARMS = {**FITTED, **dict.fromkeys(HOLES)}  # every method of `config/miniature.yaml`
SHORT_SIMCLR = SimCLRRecipe(steps=3, batch_size=4)


def prepared_plan(folder: Path, patch) -> Plan:
    """The suite `tiny` with every arm, on the GPU; its set and base weights are made, `folder` is the working
    directory from here on. `patch` shortens what no recipe can."""
    patch.setattr(TPT, "test_views", 3)  # of 64
    patch.setattr(self_supervise, "SimCLRRecipe", lambda: SHORT_SIMCLR)
    written = folder / "texts.yaml"
    about = {name.replace("_", " "): {"sentences": [f"A {name}."], "descriptors": ["a shape"]} for name in CLASSES}
    written.write_text(yaml.safe_dump({"source": "made here", "classes": about}))
    patch.setitem(written_texts.FILES, DATASET, str(written))
    os.chdir(folder)
    (folder / "datasets.yaml").symlink_to(ROOT / "datasets.yaml")
    grids = {
        "survey": {"datasets": [DATASET], "shots": [2]},
        "survey_base_to_new": {"setting": "base_to_new", "datasets": [DATASET], "shots": [2]},
    }
    write_tiny(folder, arms=ARMS, datasets=[DATASET], seeds=[1], grids=grids)
    for step in ("fetch", "prepare"):
        run(step, "--dataset", DATASET)
    plan = Plan.load("tiny", ON_GPU)
    make_weights(plan, MODEL)
    return plan


def encode(plan: Plan) -> None:
    """Every kind of stored features of the set, those of the self-supervised encoder too."""
    for kind in ("pooled", "patches", "views"):
        encode_images(plan, MODEL, DATASET, kind)
    self_supervise.self_supervise(plan, DATASET)


def cell_of(plan: Plan, arm: str, setting: str = SETTING) -> Cell:
    return classification_cell(plan, MODEL, setting, arm, 1)


def fitted(plan: Plan, cell: Cell) -> dict:
    """The record of a cell, which is fitted if it is not yet, after the one whose embeddings it fixes."""
    record = cell.folder / "tuning.json"
    if not record.exists():
        for before in cells_before(plan, cell):
            fitted(plan, before)
        classify_cell(plan, cell)
    return read_json(record)
