"""Step `evaluate`: detect with a tuned cell on the test split, and write detections, scores and provenance."""

import time

import torch

from cones.data.pyramids import LivePyramids, SharedPyramids, trains_image_encoder
from cones.evaluation.coco_ap import evaluate_detections
from cones.evaluation.metrics import CellKey, CellMetrics, Parameters, Scores, Selection, write_metrics
from cones.evaluation.prediction import predict
from cones.evaluation.predictions import write_predictions
from cones.experiment.cell import Cell, Plan
from cones.models.optimisations import disable_optimisations
from cones.runtime.artifacts import read_json, write_json
from cones.runtime.devices import peak_memory_bytes, precision_on
from cones.runtime.progress import log
from cones.runtime.provenance import run_provenance
from cones.runtime.verification import CELL_FILES, fingerprints, recorded_state
from cones.steps.device import device_for
from cones.steps.tune import open_split, shared_features, state_file
from cones.steps.tuned import load_tuned
from cones.training.state import State


def evaluate_cell(plan: Plan, cell: Cell) -> None:
    """Writes `predictions.json`, `metrics.json` (deterministic) and `run.json` (provenance of both steps).

    `run.json` comes last: it seals the cell with the sha256 of its other files.
    """
    manifest = plan.manifest(cell.dataset)
    tuning = read_json(cell.folder / "tuning.json")
    digest = recorded_state(cell.folder)
    state = State.load(state_file(cell), digest)
    common = {
        "cell": CellKey(**vars(cell), method=plan.settings(cell).method),
        "group": manifest["group"],
        "task": manifest["task"],
    }
    device = torch.device("cpu")
    if state.skipped:
        results, inference = [], {}
        metrics = CellMetrics(**common, status="skipped", reason=state.skipped)
    else:
        device = device_for(plan, cell.model)
        results, scores, inference = _detect_and_score(plan, cell, state, manifest, device)
        metrics = CellMetrics(
            **common,
            status="done",
            scores={iou_type: Scores(**numbers) for iou_type, numbers in scores.items()},
            parameters=Parameters(**tuning["parameters"]),
            selection=_selection(tuning, plan.settings(cell).tuning.selection),
        )
        for iou_type, numbers in scores.items():
            kind = "masks" if iou_type == "segm" else "boxes"
            log.info(
                "%s: AP %.1f, AP50 %.1f on %d test images", kind, numbers["ap"], numbers["ap50"], numbers["images"]
            )
    write_predictions(cell.folder / "predictions.json", results)
    write_metrics(cell.folder / "metrics.json", metrics)
    settings = plan.settings(cell).model_dump(mode="json")
    provenance = run_provenance(inputs=tuning.get("inputs_sha256", {}), settings=settings, device=str(device))
    # a state may have gigabytes: its digest was compared when it was loaded
    others = (name for name in CELL_FILES if name != state_file(cell).name)
    files = {state_file(cell).name: digest, **fingerprints(cell.folder, others)}
    write_json(cell.folder / "run.json", {**provenance, "sha256": files, "tuning": tuning, "inference": inference})


def _selection(tuning: dict, by: str) -> Selection | None:
    if not tuning["history"]:
        return None
    by = "last" if tuning.get("selection") == "none" else by
    return Selection(
        epoch=tuning["best_epoch"], validation_ap=tuning["best_val_ap"], by=by, iou_type=tuning["decided_by"]
    )


def _detect_and_score(
    plan: Plan, cell: Cell, state: State, manifest: dict, device: torch.device
) -> tuple[list[dict], dict[str, dict], dict]:
    """Detect and score: (COCO results, scores by IoU type, inference cost).

    A text encoder is built only if the method needs it here.
    """
    tuned = load_tuned(plan, cell, state, device)
    model = tuned.model
    model.detections_per_image = manifest["detections_per_image"]
    split = open_split(plan, cell, "test", model)
    is_own_encoder = trains_image_encoder(model, state.trained)
    features = None if is_own_encoder else shared_features(plan, cell)
    pyramids = LivePyramids(model, device, SharedPyramids(features, split))
    settings = plan.settings(cell)
    if not settings.tuning.exact_savings:
        disable_optimisations(model)
    started = time.monotonic()
    results = predict(
        model,
        tuned.prompt,
        split,
        pyramids,
        label="test",
        detect=tuned.detect,
        precision=settings.scoring_precision,
    )
    inference = {
        "seconds_per_image": (time.monotonic() - started) / max(len(split), 1),
        "peak_memory_bytes": peak_memory_bytes(device),
        "precision": precision_on(device, settings.scoring_precision),
        "shared_views": 0 if features is None else len(features.views),
        "parameters": tuned.parameters,
        "text_encoder_parameters": tuned.text_encoder_parameters,
    }
    limit = manifest["detections_per_image"]
    scores = {iou_type: evaluate_detections(split.coco, results, limit, iou_type) for iou_type in split.iou_types}
    return results, scores, inference
