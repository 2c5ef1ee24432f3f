"""COCO's average precision by pycocotools, as it is computed here, and by its twin faster-coco-eval, in one run.

    python benchmarks/evaluation.py [--repeats 2]

Both stand behind `evaluate_detections`, with the same gate before and the same twelve numbers behind, which must be
equal (tests/evaluation/test_faster_coco_eval.py asserts it as well). Scenes are drawn: boxes of all sizes, some of
them crowd regions, images with nothing on them, detections near boxes and elsewhere, with scores that tie. Processor
seconds, all threads together; the two take turns, the least of the repeats counts. Writes benchmarks/evaluation.json
and prints the rows of the README.
"""

import argparse
import contextlib
import importlib
import json
import sys
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np

from cones.data.masks import IouType, encoded
from cones.evaluation.coco_ap import STATISTICS, evaluate_detections

OURS, TWIN = "pycocotools", "faster-coco-eval"
LIBRARIES = {  # and where its COCO and COCOeval are
    OURS: ("pycocotools.coco", "pycocotools.cocoeval"),
    TWIN: ("faster_coco_eval.core.coco", "faster_coco_eval.core.faster_eval_api"),
}
SCENES = {  # images, classes, what is compared
    "a small set of the miniature suite": (24, 7, "bbox"),
    "Pascal VOC's, the largest of the paper": (3422, 20, "bbox"),
    "COCO's": (5000, 80, "bbox"),
    "masks of Cityscapes' number": (500, 8, "segm"),
}
WIDTH, HEIGHT = 320, 240
DETECTIONS_PER_IMAGE = 100


@contextlib.contextmanager
def library(name: str) -> Iterator[list[float]]:
    """Inside, `evaluate_detections` computes with this library; yields its processor seconds, one for each call.

    They are those of matching and curves alone: what stands before and behind them is the same code for both.
    """
    coco, evaluation = map(importlib.import_module, LIBRARIES[name])
    seconds: list[float] = []

    class Timed(evaluation.COCOeval):
        def evaluate(self):
            started = time.process_time()
            super().evaluate()
            seconds.append(time.process_time() - started)

        def accumulate(self):
            started = time.process_time()
            super().accumulate()
            seconds[-1] += time.process_time() - started

    modules = {"pycocotools.coco": coco, "pycocotools.cocoeval": SimpleNamespace(COCOeval=Timed)}
    with mock.patch.dict(sys.modules, modules):
        yield seconds


def scene(images: int, classes: int, iou_type: IouType, detections: int, seed: int = 0) -> tuple[dict, list[dict]]:
    """(ground truth, results): up to 14 boxes an image, every sixth image empty, `detections` of each image.

    A detection is a box that was moved a little, of its class or rarely of another, or lies anywhere.
    """
    draw = np.random.default_rng(seed)
    annotations, results = [], []
    for image in range(1, images + 1):
        boxes = _boxes(draw, int(draw.integers(1, 15)) if image % 6 else 0)
        labels = draw.integers(1, classes + 1, len(boxes))
        for box, label in zip(boxes, labels.tolist()):
            annotation = _entry(image, label, box, iou_type)
            area, is_crowd = float(box[2] * box[3]), int(draw.random() < 0.08)
            annotations.append({"id": len(annotations) + 1, **annotation, "area": area, "iscrowd": is_crowd})
        found = _boxes(draw, detections)
        found_labels = draw.integers(1, classes + 1, detections)
        if len(boxes):
            near = np.flatnonzero(draw.random(detections) < 0.5)
            of = draw.integers(0, len(boxes), len(near))
            found[near] = _inside(boxes[of] * draw.normal(1, 0.08, (len(near), 4)))
            found_labels[near] = np.where(draw.random(len(near)) < 0.9, labels[of], found_labels[near])
        scores = draw.random(detections).round(2)  # many are equal
        for box, label, score in zip(found, found_labels.tolist(), scores.tolist()):
            results.append({**_entry(image, label, box, iou_type), "score": score})
    truth = {
        "images": [{"id": i + 1, "file_name": f"{i + 1}.png", "width": WIDTH, "height": HEIGHT} for i in range(images)],
        "annotations": annotations,
        "categories": [{"id": k + 1, "name": f"class {k + 1}"} for k in range(classes)],
    }
    return truth, results


def _boxes(draw: np.random.Generator, count: int) -> np.ndarray:
    """(count, 4) x, y, width, height: small, medium and large ones."""
    sides = np.exp(draw.uniform(np.log(8), np.log(200), (count, 2)))
    return _inside(np.concatenate([draw.random((count, 2)) * (WIDTH, HEIGHT), sides], axis=1))


def _inside(boxes: np.ndarray) -> np.ndarray:
    """The same in whole pixels within the picture, none of them empty."""
    low = np.clip(boxes[:, :2].round(), 0, (WIDTH - 4, HEIGHT - 4))
    return np.concatenate([low, np.clip(boxes[:, 2:].round(), 4, (WIDTH, HEIGHT) - low)], axis=1)


def _entry(image: int, label: int, box: np.ndarray, iou_type: IouType) -> dict:
    """What annotations and results share; a mask is the ellipse in its box."""
    entry = {"image_id": image, "category_id": label, "bbox": box.tolist()}
    if iou_type == "segm":
        x, y, w, h = box
        rows, columns = np.ogrid[:HEIGHT, :WIDTH]
        ellipse = ((columns + 0.5 - x - w / 2) / (w / 2)) ** 2 + ((rows + 0.5 - y - h / 2) / (h / 2)) ** 2 <= 1
        entry["segmentation"] = encoded(ellipse)
    return entry


def measured(images: int, classes: int, iou_type: IouType, repeats: int) -> dict[str, dict[str, float]]:
    """{library: seconds of matching and curves, and of the whole evaluation}; they must say the same."""
    truth, results = scene(images, classes, iou_type, DETECTIONS_PER_IMAGE)
    inner, whole = {name: [] for name in LIBRARIES}, {name: [] for name in LIBRARIES}
    said = {}
    for _ in range(repeats):
        for name in LIBRARIES:
            with library(name) as seconds:
                started = time.process_time()
                said[name] = evaluate_detections(truth, results, DETECTIONS_PER_IMAGE, iou_type)
                whole[name].append(time.process_time() - started)
                inner[name] += seconds
    differ = [key for key in STATISTICS if said[OURS][key] != said[TWIN][key]]
    if differ:
        raise SystemExit(f"the two disagree about {', '.join(differ)}")
    return {
        name: {"matching_seconds": round(min(inner[name]), 4), "seconds": round(min(whole[name]), 4)}
        for name in LIBRARIES
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=2)
    options = parser.parse_args()
    report = {"options": vars(options), "versions": {name: version(name) for name in LIBRARIES}, "scenes": []}
    for name, (images, classes, iou_type) in SCENES.items():
        found = measured(images, classes, iou_type, options.repeats)
        report["scenes"].append({"scene": name, "images": images, "classes": classes, "iou_type": iou_type, **found})
        ours, twin = found[OURS], found[TWIN]
        columns = [
            f"{ours[key]:.2f} | {twin[key]:.2f} | {ours[key] / twin[key]:.1f} x"
            for key in ("matching_seconds", "seconds")
        ]
        print(f"| {name} | {images:,} | {classes} | {iou_type} | {' | '.join(columns)} |", flush=True)
    Path(__file__).with_suffix(".json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
