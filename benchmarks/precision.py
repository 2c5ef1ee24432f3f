"""What half precision does to the AP of the nano models: scored in float32, and in bfloat16 by the CPU's autocast.

    python benchmarks/precision.py [--models glip_nano uninext_nano --datasets aquarium kvasir_seg bccd]

The shipped weights score class names (zero-shot) on the drawn test splits, twice from the same files. Autocast wraps
the whole pass, as on a GPU; what has to stay in float32 (docs/methods.md) does so here too. The CPU's list of what is
computed in half precision is not the GPU's in every entry: a first look, not a GPU's number.
Writes benchmarks/precision.json and prints the rows of docs/methods.md.
"""

import argparse
import contextlib
import json
import os
import tempfile
from pathlib import Path

import torch

from cones.data.batches import Split
from cones.data.pyramids import LivePyramids
from cones.evaluation.coco_ap import evaluate_detections
from cones.evaluation.prediction import predict
from cones.experiment.cell import Plan
from cones.experiment.step import Job
from cones.methods.prompts import FixedPrompt
from cones.models.language import LanguageFeatures
from cones.runtime.artifacts import load_tensors
from cones.steps.base_model import base_detector
from cones.steps.jobs import make

ROOT = Path(__file__).resolve().parents[1]
CPU = torch.device("cpu")
WAYS = {"float32": contextlib.nullcontext, "bfloat16": lambda: torch.autocast("cpu", dtype=torch.bfloat16)}


def scores(plan: Plan, name: str, dataset: str) -> dict[str, dict[str, float]]:
    """{precision: {kind of IoU: AP in percent}} of a model's class names on a dataset's test split."""
    for job in (Job("weights", weights=plan.weights(name).stem), Job("text_states", model=name, dataset=dataset)):
        make(plan, job)
    model, manifest = base_detector(plan, name), plan.manifest(dataset)
    model.detections_per_image = manifest["detections_per_image"]
    prompt = FixedPrompt(LanguageFeatures(**load_tensors(plan.text_states(name, dataset))[0]))
    split = Split(
        plan.data_folder(dataset),
        "test",
        preprocessing=model.preprocessing,
        inclusive=model.inclusive_boxes,
        masks=model.predicts_masks,
    )
    found = {}
    for precision, way in WAYS.items():
        with way():
            results = predict(model, prompt, split, LivePyramids(model, CPU), label=precision)
        limit = manifest["detections_per_image"]
        found[precision] = {
            kind: evaluate_detections(split.coco, results, limit, kind)["ap"] for kind in split.iou_types
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", default=["glip_nano", "uninext_nano"])
    parser.add_argument("--datasets", nargs="+", default=["aquarium", "kvasir_seg", "bccd"])
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("config", "datasets.yaml"):
            Path(folder, name).symlink_to(ROOT / name)
        os.chdir(folder)
        plan = Plan.load("miniature")
        rows = [
            {"model": name, "dataset": dataset, **scores(plan, name, dataset)}
            for name in asked.models
            for dataset in asked.datasets
        ]
    for row in rows:
        for kind, ap in row["float32"].items():
            half = row["bfloat16"][kind]
            print(f"| {row['model']} | {row['dataset']} | {kind} | {ap:.2f} | {half:.2f} | {half - ap:+.2f} |")
    report = {"torch": torch.__version__, "rows": rows}
    (ROOT / "benchmarks/precision.json").write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
