"""Prepared datasets and detections for the made-up suites of the report's tests."""

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from cones.evaluation.predictions import write_predictions
from cones.experiment.cell import Plan
from cones.experiment.outputs import grids_of_methods
from cones.runtime.artifacts import read_json, sha256, write_json

SIZE = (60, 40)
BOX = [5, 5, 20, 20]


def with_pictures(plan: Plan, datasets: Sequence[str], *, classes=("red", "white"), file="{}.png") -> None:
    """Two test pictures of each dataset, an object in each, and a detection of it by every finished cell."""
    for dataset in datasets:
        _prepare(plan.data_folder(dataset), classes, file)
    cells = {cell for grid in grids_of_methods(plan.suite.parts) for cell in plan.cells(grid)}
    for cell in cells:
        run = cell.folder / "run.json"
        if cell.dataset not in datasets or not run.exists():
            continue
        found = [{"image_id": n, "category_id": 2, "bbox": BOX, "score": 0.9} for n in (1, 2)]
        write_predictions(cell.folder / "predictions.json", found)
        seal(plan, cell)


def seal(plan: Plan, cell) -> None:
    """Record in a cell's run.json the detections and the manifest that are there."""
    run, manifest = cell.folder / "run.json", plan.data_folder(cell.dataset) / "manifest.json"
    content = read_json(run)
    content["sha256"]["predictions.json"] = sha256(cell.folder / "predictions.json")
    content["inputs_sha256"][str(manifest)] = sha256(manifest)
    write_json(run, content)


def _prepare(folder: Path, classes: Sequence[str], file: str) -> None:
    (folder / "raw").mkdir(parents=True)
    images = [{"id": n, "file_name": file.format(n), "width": SIZE[0], "height": SIZE[1]} for n in (1, 2)]
    for image in images:
        Image.new("RGB", SIZE, (20, 20, 20)).save(folder / "raw" / image["file_name"])
    objects = [{"id": n, "image_id": n, "category_id": 1, "bbox": BOX, "area": 400, "iscrowd": 0} for n in (1, 2)]
    categories = [{"id": n, "name": name} for n, name in enumerate(classes, start=1)]
    write_json(folder / "test.json", {"images": images, "annotations": objects, "categories": categories})
    test = {"images": 2, "boxes": 2, "file": "test.json", "sha256": sha256(folder / "test.json")}
    write_json(folder / "manifest.json", {"status": "ready", "reason": None, "splits": {"test": test}})
