"""Step `evaluate`: detections of a tuned cell on the test split, their scores, and how they were made."""

import time

from cones.artifacts import read_json, sha256, write_json
from cones.cell import Cell, Plan
from cones.determinism import make_deterministic
from cones.devices import best_device, peak_memory_bytes
from cones.evaluation.coco_ap import evaluate_detections
from cones.evaluation.metrics import CellKey, CellMetrics, Parameters, Scores, Selection, write_metrics
from cones.evaluation.predictions import write_predictions
from cones.models.checkpoints import load_detector
from cones.models.reference_path import take_reference_path
from cones.prediction import predict
from cones.progress import log
from cones.prompts import FixedPrompt, PromptContext
from cones.provenance import how
from cones.pyramids import LivePyramids, SharedPyramids
from cones.state import State
from cones.steps.tune import open_split, shared_features, state_file
from cones.verification import CELL_FILES, fingerprints, recorded_state


def evaluate_cell(plan: Plan, cell: Cell) -> None:
    """Writes `predictions.json`, `metrics.json` (deterministic) and `run.json` (provenance of both steps).

    `run.json` comes last: it seals the cell with the sha256 of its other files.
    """
    make_deterministic()
    manifest = plan.manifest(cell.dataset)
    tuning = read_json(cell.folder / "tuning.json")
    digest = recorded_state(cell.folder)
    state = State.load(state_file(cell), digest)
    common = {
        "cell": CellKey(**vars(cell), method=plan.settings(cell).method),
        "group": manifest["group"],
        "task": manifest["task"],
    }
    if state.skipped:
        results, inference = [], {}
        metrics = CellMetrics(**common, status="skipped", reason=state.skipped)
    else:
        results, scores, inference = _detect_and_score(plan, cell, state, manifest)
        metrics = CellMetrics(
            **common,
            status="done",
            scores={iou_type: Scores(**found) for iou_type, found in scores.items()},
            parameters=Parameters(**tuning["parameters"]),
            selection=_selection(tuning, plan.settings(cell).tuning.selection),
        )
        for iou_type, found in scores.items():
            said = "masks" if iou_type == "segm" else "boxes"
            log.info("%s: AP %.1f, AP50 %.1f on %d test images", said, found["ap"], found["ap50"], found["images"])
    write_predictions(cell.folder / "predictions.json", results)
    write_metrics(cell.folder / "metrics.json", metrics)
    settings = plan.settings(cell).model_dump(mode="json")
    provenance = how(inputs=tuning.get("inputs_sha256", {}), settings=settings, device=str(best_device()))
    # a state may have gigabytes: its digest was compared when it was loaded
    others = (name for name in CELL_FILES if name != state_file(cell).name)
    files = {state_file(cell).name: digest, **fingerprints(cell.folder, others)}
    write_json(cell.folder / "run.json", {**provenance, "sha256": files, "tuning": tuning, "inference": inference})


def _selection(tuning: dict, by: str) -> Selection | None:
    if not tuning["history"]:
        return None
    return Selection(
        epoch=tuning["best_epoch"], validation_ap=tuning["best_val_ap"], by=by, iou_type=tuning["decided_by"]
    )


def _detect_and_score(plan: Plan, cell: Cell, state: State, manifest: dict) -> tuple[list[dict], dict[str, dict], dict]:
    """(COCO results, scores by IoU type, inference cost). No text encoder is built: the state holds what is heard."""
    device, weights = best_device(), plan.weights(cell.model)
    model = load_detector(cell.model, weights)
    state.apply_to(model, where=state_file(cell), base_sha256=sha256(weights))
    model.detections_per_image = manifest["detections_per_image"]
    model.to(device).eval()
    split = open_split(plan, cell, "test", model)
    language = FixedPrompt(state.language).to(device)(PromptContext())
    features = shared_features(plan, cell)
    pyramids = LivePyramids(model, device, SharedPyramids(features, split))
    if not plan.settings(cell).tuning.exact_savings:
        take_reference_path(model)
    started = time.monotonic()
    results = predict(model, language, split, pyramids, label="test")
    inference = {
        "seconds_per_image": (time.monotonic() - started) / max(len(split), 1),
        "peak_memory_bytes": peak_memory_bytes(device),
        "shared_views": 0 if features is None else len(features.views),
    }
    limit = manifest["detections_per_image"]
    scores = {iou_type: evaluate_detections(split.coco, results, limit, iou_type) for iou_type in split.iou_types}
    return results, scores, inference
