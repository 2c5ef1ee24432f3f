"""Step `elsewhere`: score a tuned cell on other datasets, by their class names: what did tuning make it forget?

What was trained for classes of its own (vectors of ConES, textual inversion, prompt tuning, residuals) says nothing of
other classes: these are named in words, and what remains of the cell is scored, which is the base model where no weight
of it trained. A context or an adapter that all classes share meets the other names (`TuningMethod.unseen_classes`).
"""

from dataclasses import dataclass, replace

import torch

from cones.data.pyramids import LivePyramids
from cones.evaluation.coco_ap import evaluate_detections
from cones.evaluation.elsewhere import FILE, Carried, Elsewhere, OtherScore, write_elsewhere
from cones.evaluation.metrics import CellKey
from cones.evaluation.prediction import Detect, predict
from cones.experiment.cell import Cell, Plan
from cones.methods.method import TuningMethod
from cones.methods.prompts import FixedPrompt, Prompt
from cones.models.detector import GroundedDetector
from cones.models.family import family_named
from cones.runtime.artifacts import sha256
from cones.runtime.errors import ConesError
from cones.runtime.progress import log
from cones.runtime.verification import recorded_state
from cones.steps.base_model import base_detector
from cones.steps.device import device_for
from cones.steps.tune import gather, open_split, read_text_states, state_file
from cones.training.state import State


@dataclass
class OtherClasses:
    """A detector and a prompt of another dataset's classes; detect is the method's rule for test time, or None."""

    model: GroundedDetector
    prompt: Prompt
    detect: Detect | None


def score_elsewhere(plan: Plan, cell: Cell) -> None:
    """Writes `elsewhere.json`: box AP of the cell on every other dataset that a grid names for it."""
    digest = recorded_state(cell.folder)
    state = State.load(state_file(cell), digest)
    key = CellKey(**vars(cell), method=plan.settings(cell).method)
    others = plan.scored_elsewhere(cell)
    if state.skipped:
        datasets = {name: OtherScore(ap=None, reason=state.skipped) for name in others}
        write_elsewhere(cell.folder / FILE, Elsewhere(cell=key, state_sha256=digest, datasets=datasets))
        return
    datasets = {name: _score(plan, cell, state, name) for name in others}
    for name, score in datasets.items():
        log.info("%s: %s", name, score.reason or f"AP {score.ap:.1f} on {score.images} test images")
    content = Elsewhere(cell=key, state_sha256=digest, carried=carried(plan, cell, state), datasets=datasets)
    write_elsewhere(cell.folder / FILE, content)


def _score(plan: Plan, cell: Cell, state: State, dataset: str) -> OtherScore:
    manifest = plan.manifest(dataset)
    if reason := _reason_for_none(plan, cell, state, dataset, manifest):
        return OtherScore(ap=None, reason=reason)
    device, precision = device_for(plan, cell.model), plan.settings(cell).scoring_precision
    tuned = for_other_classes(plan, cell, state, dataset, device)
    tuned.model.detections_per_image = manifest["detections_per_image"]
    split = open_split(plan, replace(cell, dataset=dataset), "test", tuned.model)
    pyramids = LivePyramids(tuned.model, device)
    found = predict(tuned.model, tuned.prompt, split, pyramids, label=dataset, detect=tuned.detect, precision=precision)
    ap = evaluate_detections(split.coco, found, manifest["detections_per_image"], "bbox")["ap"]
    reason = "its test split has no box" if ap is None else None
    return OtherScore(ap=ap, images=len(split), reason=reason)


def _reason_for_none(plan: Plan, cell: Cell, state: State, dataset: str, manifest: dict) -> str | None:
    if manifest["status"] == "skipped":
        return manifest["reason"]
    if dataset in family_named(cell.model).pretrained_on.get(cell.model, ()):
        return f"{cell.model} was pretrained on this dataset: it has no zero-shot score there that could be forgotten"
    if "tuned" in plan.method(cell.arm).inputs:
        return "it is a mean with a cell that was tuned on its own dataset, and is made for that one alone"
    if not serves_other_classes(plan, cell, state) and (added := _added_values(plan, cell, state)):
        return f"it adds {added[0]} to the detector, and does not say whether that serves other classes"
    return None


def _added_values(plan: Plan, cell: Cell, state: State) -> list[str]:
    """The names of the detector's values in the state that the base model does not have."""
    known = base_detector(plan, cell.model).state_dict().keys()
    names = (name.removeprefix("model.") for name in state.trained if name.startswith("model."))
    return [name for name in names if name not in known]


def serves_other_classes(plan: Plan, cell: Cell, state: State) -> bool:
    """Whether the method's prompt can be made of other class names, with what was trained of it."""
    entry, method = plan.method(cell.arm), TuningMethod.load(plan.settings(cell).method)
    if method.unseen_classes:
        return True
    of_classes = entry.has_vectors or "stage1" in entry.inputs
    trains_prompt = any(name.startswith("prompt.") for name in state.trained)
    return not of_classes and not trains_prompt and not _added_values(plan, cell, state)


def carried(plan: Plan, cell: Cell, state: State) -> Carried:
    """What training changed and other classes meet."""
    weights = any(name.startswith("model.") for name in state.trained)
    prompt = any(name.startswith("prompt.") for name in state.trained) and serves_other_classes(plan, cell, state)
    return "weights and prompt" if weights and prompt else "weights" if weights else "prompt" if prompt else "nothing"


def for_other_classes(plan: Plan, cell: Cell, state: State, dataset: str, device: torch.device) -> OtherClasses:
    """The detector of a tuned cell with a prompt of another dataset's class names, on a device and in eval mode."""
    method, where = TuningMethod.load(plan.settings(cell).method), state_file(cell)
    model, weights_sha256 = base_detector(plan, cell.model), sha256(plan.weights(cell.model))
    if not serves_other_classes(plan, cell, state):
        state.apply_to(model, where=where, base_sha256=weights_sha256)
        names, _ = read_text_states(plan.text_states(cell.model, dataset), weights_sha256)
        return OtherClasses(model.to(device).eval(), FixedPrompt(names).to(device).eval(), None)
    prompt_inputs, _, _ = gather(plan, replace(cell, dataset=dataset))
    prompt_inputs.settings = plan.settings(cell)  # as many vectors as were trained
    method.extend(model, prompt_inputs)
    state.apply_to(model, where=where, base_sha256=weights_sha256)
    prompt = method.prompt(model, prompt_inputs)
    try:
        state.apply_to_prompt(prompt, where=where)
    except RuntimeError as error:
        raise ConesError(
            "what was trained of the prompt has another shape for other classes",
            where=where,
            found=str(error).splitlines()[-1].strip(),
            next_step=f"let {type(method).__name__} say `unseen_classes = False`",
        ) from None
    return OtherClasses(model.to(device).eval(), prompt.to(device).eval(), method.detect)
