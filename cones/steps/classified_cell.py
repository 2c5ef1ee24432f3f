"""Step `classification fit`: one cell, from a few labelled images to its accuracies."""

from __future__ import annotations

from cones.data.task_rules import DENSE, MULTI_LABEL
from cones.evaluation.classification_metrics import TargetScore, write_classification_metrics
from cones.experiment.cell import Cell, Plan
from cones.experiment.classification import JOINT, Setting
from cones.experiment.classification_cells import joint_of, settings_of
from cones.runtime.artifacts import save_tensors, write_json
from cones.runtime.progress import log
from cones.runtime.provenance import run_provenance, settings_digest
from cones.runtime.verification import fingerprints
from cones.steps.classify import CellFit
from cones.steps.dense_cell import DenseFit
from cones.steps.joint_cell import JointFit, PartOfJoint
from cones.steps.multi_label_cell import MultiLabelFit

FILES = ("state.safetensors", "tuning.json", "predictions.json", "metrics.json")  # run.json is written after them


def classify_cell(plan: Plan, cell: Cell, *, identity: str = "") -> None:
    """Writes the state, how it was fitted, predictions, metrics, and last `run.json`, with a digest of the answers for
    each target.

    An interrupted training of the same `identity`, a digest of settings, code and inputs, is gone on with.
    """
    fit = fit_of(plan, cell)
    if reason := fit.reason:
        log.info("skipped: %s", reason)
        digest = save_tensors(cell.folder / "state.safetensors", {}, {"skipped": reason})
        write_json(cell.folder / "tuning.json", {"skipped": reason, "sha256": {"state.safetensors": digest}})
        write_json(cell.folder / "predictions.json", {})
        metrics, record, scoring, answers = fit.metrics(status="skipped", reason=reason), {"skipped": reason}, {}, {}
    else:
        record, trained = fit.run(identity)
        scored, scoring = fit.score()
        predictions = {one.target.key: one.predictions for one in scored}
        write_json(cell.folder / "predictions.json", predictions, indent=None)
        answers = {key: settings_digest(one) for key, one in predictions.items()}
        targets = {one.target.key: fit.target_score(one) for one in scored}
        metrics = fit.metrics(status="done", targets=targets, trained=trained)
        log.info("%s: %s", cell, ", ".join(_shown(key, one) for key, one in targets.items()))
    write_classification_metrics(cell.folder / "metrics.json", metrics)
    provenance = run_provenance(inputs=fit.inputs_sha256(), settings=settings_of(plan, cell), device=str(fit.device))
    files = fingerprints(cell.folder, FILES)
    record = {**provenance, "sha256": files, "answers": answers, "tuning": record, "inference": scoring}
    write_json(cell.folder / "run.json", record)


def fit_of(plan: Plan, cell: Cell) -> CellFit:
    """The kind of fit that a cell's setting and method ask for."""
    usual = PartOfJoint if joint_of(plan, cell) else CellFit
    of_kind = {JOINT: JointFit, MULTI_LABEL: MultiLabelFit, DENSE: DenseFit}
    return of_kind.get(Setting.of(cell.dataset).kind, usual)(plan, cell)


def _shown(key: str, score: TargetScore) -> str:
    if score.mean_ap is not None:
        return f"{key}: mAP {score.mean_ap:.1f}"
    shown = f"{key}: top-1 accuracy {'none' if score.accuracy is None else f'{score.accuracy:.1f}'}"
    return shown if score.dense is None else f"{shown}, mean IoU {score.dense.mean_iou:.1f}"
