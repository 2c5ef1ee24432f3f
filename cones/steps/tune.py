"""Step `tune`: tune one cell from base weights, and write its state and the record of its tuning."""

import time
from functools import partial
from pathlib import Path

import torch
from torch import nn

from cones.data.batches import Split
from cones.data.pyramid_file import PyramidFile
from cones.data.pyramids import FrozenPyramids, LivePyramids, SharedPyramids
from cones.experiment.cell import Cell, Plan
from cones.experiment.plugins import plugins_used
from cones.methods.method import MethodEntry, PromptInputs, TunedValues, TuningMethod
from cones.methods.prompts import Prompt
from cones.methods.starts import start_std
from cones.models.checkpoints import load_text_encoder
from cones.models.detector import GroundedDetector
from cones.models.family import family_named, family_of
from cones.models.language import LanguageFeatures
from cones.models.optimisations import disable_optimisations
from cones.runtime.artifacts import check_sha256, load_tensors, sha256, write_json
from cones.runtime.determinism import generator
from cones.runtime.devices import peak_memory_bytes, precision_on
from cones.runtime.errors import ConesError
from cones.runtime.processes import Processes
from cones.runtime.progress import log
from cones.runtime.provenance import settings_digest
from cones.runtime.verification import recorded_state
from cones.steps.base_model import base_detector, caption_tokenizer
from cones.steps.device import device_for
from cones.steps.text import phrases_of
from cones.training.choosing import candidates_of, choose
from cones.training.cost import count_parameters
from cones.training.images import training_images
from cones.training.pseudo_labels import counted, pseudo_labelled
from cones.training.state import Remake, State, refuse_other_weights
from cones.training.tuner import Progress, Tuner, mark_trainable, method_buffers

NOTHING_FOUND = "without labels there is nothing to train on: the untuned detector finds nothing in the training images"


def state_file(cell: Cell) -> Path:
    return cell.folder / "state.safetensors"


def tune_cell(plan: Plan, cell: Cell, *, identity: str = "") -> None:
    """Writes `state.safetensors` and `tuning.json` (its sha256; how it went: history, parameters, seconds, inputs).

    An interrupted run of the same `identity`, a digest of settings, code and inputs, is gone on with.
    """
    method = TuningMethod.load(plan.settings(cell).method)
    manifest = plan.manifest(cell.dataset)
    if reason := _reason_to_skip(cell, method, manifest) or _reason_not_zero_shot(plan, cell):
        _skip(cell, reason)
    else:
        _require_validation(plan, cell, manifest)
        _tune(plan, cell, method, manifest, identity)


def _skip(cell: Cell, reason: str) -> None:
    log.info("skipped: %s", reason)
    digest = State(skipped=reason).save(state_file(cell))
    write_json(cell.folder / "tuning.json", {"skipped": reason, "sha256": {"state.safetensors": digest}})


def _reason_to_skip(cell: Cell, method: TuningMethod, manifest: dict) -> str | None:
    if manifest["status"] == "skipped":
        return manifest["reason"]
    if "masks" in method.labels and manifest["task"] != "instance_segmentation":
        return "the method needs masks of training images, and the dataset has boxes alone"
    return method.supports(cell.model)


def _reason_not_zero_shot(plan: Plan, cell: Cell) -> str | None:
    """A model's score on data of its pretraining is not called zero-shot."""
    entry = plan.method(cell.arm)
    if entry.uses_labels or entry.has_vectors:
        return None
    if cell.dataset in family_named(cell.model).pretrained_on.get(cell.model, ()):
        return f"{cell.model} was pretrained on this dataset: it has no zero-shot score there"
    return None


def _require_validation(plan: Plan, cell: Cell, manifest: dict) -> None:
    """Refuse a cell that selects weights on validation when no validation picture of its dataset has a box."""
    selects = plan.method(cell.arm).is_tuned and plan.settings(cell).tuning.selection == "best"
    if selects and not manifest["splits"]["val"]["boxes"]:
        raise ConesError(
            "the weights that are best on validation are wanted, and no validation picture has a box",
            where=cell,
            next_step="set `selection: last` under `tuning` in the suite, or give the dataset a validation split",
        )


def _tune(plan: Plan, cell: Cell, method: TuningMethod, manifest: dict, identity: str) -> None:
    device, weights = device_for(plan, cell.model), plan.weights(cell.model)
    ranks = Processes.from_environment(device)
    model = base_detector(plan, cell.model)
    model.detections_per_image = manifest["detections_per_image"]
    is_tuned = plan.method(cell.arm).is_tuned
    features = shared_features(plan, cell) if is_tuned else None  # only cells that are tuned read them here
    if not plan.settings(cell).tuning.exact_savings:
        disable_optimisations(model)
    prompt_inputs, inputs, encoder_size = gather(plan, cell)
    if "training_images" in plan.method(cell.arm).inputs:
        split = open_split(plan, cell, "train", model, few_shot=True)
        pyramids = FrozenPyramids(model.to(device), device, 0, SharedPyramids(shared_features(plan, cell), split))
        prompt_inputs.training_images = partial(
            training_images, split, pyramids, device, prompt_inputs.settings.precision
        )
    method.own(prompt_inputs.settings)  # refuses a number that the method does not have
    choose_losses(model, prompt_inputs.settings.loss_groups, where=cell)
    choose_projections(model, prompt_inputs.settings.projections, where=cell)
    method.extend(model, prompt_inputs)
    prompt = method.prompt(model, prompt_inputs)
    checkpoint = cell.folder / "resume.pt"
    decided_by = pseudo = None
    if is_tuned:
        train = open_split(plan, cell, "train", model, few_shot=True, masks="masks" in method.labels)
        if not method.labels:
            masks = model.predicts_masks and manifest["task"] == "instance_segmentation"
            pyramids = LivePyramids(model.to(device), device)  # shared features are those of training views
            train = pseudo_labelled(train, model, method, prompt_inputs, pyramids, ranks, masks=masks)
            pseudo = counted(train, [phrase.name for phrase in prompt_inputs.phrases])
            identity = settings_digest([identity, train.coco["annotations"]])
            if not pseudo["images"]:
                return None if ranks.rank else _skip(cell, NOTHING_FOUND)
        val = open_split(plan, cell, "val", model, few_shot=True)
        decided_by = val.iou_types[-1]
        progress = Tuner(
            model=model,
            prompt=prompt,
            method=method,
            train=train,
            val=val,
            settings=prompt_inputs.settings,
            seed=cell.seed,
            device=device,
            checkpoint=checkpoint,
            identity=identity,
            ranks=ranks,
            features=features,
        ).run()
    else:
        progress = Progress()
    if ranks.rank:
        return  # the first process writes the result of all
    chosen = _choose(plan, cell, model.to(device), prompt.to(device), method) if method.candidates else None
    trained = mark_trainable(model, prompt, method)
    remake = Remake(prompt_inputs.settings.method, {str(path): file_digest for path, file_digest in inputs.items()})
    digest = state_of(method, model, prompt, trained, remake, base_sha256=inputs[weights]).save(state_file(cell))
    counts = count_parameters(
        model,
        prompt,
        trained,
        text_encoder=encoder_size,
        fixed_rows=0 if prompt_inputs.concepts is None else prompt_inputs.concepts.hidden.shape[1],
    )
    record = {
        "steps": progress.step,
        "seconds": progress.seconds,
        "history": progress.history,
        "best_epoch": progress.best_epoch,
        "best_val_ap": progress.best_ap,
        "decided_by": decided_by,
        "selection": method.selection,
        "chosen": chosen,
        "may_choose": sorted({name for one in candidates_of(method, prompt_inputs.settings) for name in one}),
        "labels": sorted(method.labels),
        "pseudo_labels": pseudo,
        "batch_size": prompt_inputs.settings.tuning.batch_size,  # images of an optimiser step, and those of a pass:
        "micro_batch": progress.micro_batch,
        "processes": ranks.size,
        "precision": precision_on(device, prompt_inputs.settings.precision),
        "scoring_precision": precision_on(device, prompt_inputs.settings.scoring_precision),
        "skipped_steps": progress.skipped_steps,
        "parameters": {convention: vars(count) for convention, count in counts.items()},
        "device": str(device),
        "peak_memory_bytes": peak_memory_bytes(device),
        "shared_views": 0 if features is None else len(features.views),
        "language_seconds": language_seconds(plan.method(cell.arm), prompt),
        "inputs_sha256": {str(path): file_digest for path, file_digest in inputs.items()},
        "sha256": {"state.safetensors": digest},
    }
    if outside := plugins_used(plan.method(cell.arm).module, family_of(cell.model).module):
        record["plugins"] = outside
    write_json(cell.folder / "tuning.json", record)
    checkpoint.unlink(missing_ok=True)


def _choose(plan: Plan, cell: Cell, model: GroundedDetector, prompt: Prompt, method: TuningMethod) -> dict | None:
    settings, device = plan.settings(cell), next(model.parameters()).device
    val = open_split(plan, cell, "val", model, few_shot=True)
    pyramids = LivePyramids(model, device, SharedPyramids(shared_features(plan, cell), val))
    return choose(model.eval(), prompt.eval(), method, val, pyramids, settings)


def state_of(
    method: TuningMethod,
    model: GroundedDetector,
    prompt: Prompt,
    trained: dict[str, nn.Parameter],
    remake: Remake,
    *,
    base_sha256: str,
) -> State:
    """The state that scoring reads: language features of a static prompt, or else how its prompt is made again."""
    needs_prompt, state = method.needs_prompt_at_test(prompt), State(dict(trained), base_sha256=base_sha256)
    for name, buffer in method_buffers(model, prompt).items():
        if needs_prompt or name.startswith("model."):
            state.trained[name] = buffer
    if needs_prompt:
        state.remake = remake
    if prompt.is_static:
        with torch.no_grad():
            state.language = prompt.eval().without_images()
    return state


def language_seconds(method: MethodEntry, prompt: Prompt) -> float | None:
    """Seconds of making the language features once more: what a text encoder adds to each image if it runs for each.

    None for a prompt that looks at the image, whose text is part of inference anyway, and for one of stored text
    states, whose encoder is not here.
    """
    if not prompt.is_static or "text_states" in method.inputs:
        return None
    with torch.no_grad():
        prompt.eval().without_images().hidden.cpu()  # warm, and whatever a GPU still has to do is done
        started = time.monotonic()
        prompt.without_images().hidden.cpu()
    return time.monotonic() - started


def choose_losses(model: GroundedDetector, groups: tuple[str, ...] | None, *, where: object) -> None:
    """Tell the detector which groups of its losses train (paper, Table 4); None is all of them."""
    if groups is None:
        return
    if unknown := set(groups) - set(model.loss_groups):
        raise ConesError(
            "this model's losses cannot be told apart so",
            where=f"{where}: loss_groups",
            expected=", ".join(model.loss_groups) or "no loss_groups for this model",
            found=", ".join(sorted(unknown)),
            next_step="choose another model for this grid, or correct loss_groups",
        )
    model.loss_groups = groups


def choose_projections(model: GroundedDetector, name: str | None, *, where: object) -> None:
    """Tell the detector which of its choices linear probing trains; None is the usual one."""
    if name is None:
        return
    if name not in model.other_projections:
        raise ConesError(
            "this model has no such choice of projections",
            where=f"{where}: projections",
            expected=", ".join(model.other_projections) or "no projections for this model: it has one choice",
            found=name,
            next_step="correct projections, or leave it out",
        )
    model.projections = model.other_projections[name]


def shared_features(plan: Plan, cell: Cell) -> PyramidFile | None:
    """The stored image features that this cell can read; None where it computes its own."""
    index = plan.features_of(cell) if plan.settings(cell).tuning.exact_savings else None
    return PyramidFile(index) if index is not None and index.exists() else None


def open_split(
    plan: Plan, cell: Cell, name: str, model: GroundedDetector, *, few_shot: bool = False, masks: bool = False
) -> Split:
    """A split of the cell's dataset, as its manifest knows it; with `few_shot` cut to the suite's shots, if any.

    Masks are read where the model predicts them or `masks` asks for them.
    """
    tuning, folder = plan.settings(cell).tuning, plan.data_folder(cell.dataset)
    check_sha256(folder / f"{name}.json", plan.manifest(cell.dataset)["splits"][name]["sha256"])
    return Split(
        folder,
        name,
        preprocessing=model.preprocessing,
        inclusive=model.inclusive_boxes,
        shots=tuning.shots if few_shot else None,
        shot_seed=tuning.shot_seed,
        pictures=plan.suite.pictures,
        masks=masks or model.predicts_masks,
    )


def read_text_states(path: Path, weights_sha256: str) -> tuple[LanguageFeatures, int]:
    """(class names of a dataset through the frozen text encoder, its parameters); refused if made of other weights."""
    tensors, metadata = load_tensors(path)
    refuse_other_weights(metadata["base_sha256"], weights_sha256, where=path)
    return LanguageFeatures(**tensors), int(metadata["text_encoder_parameters"])


def gather(plan: Plan, cell: Cell, *, for_prompt: bool = True) -> tuple[PromptInputs, dict[Path, str], int]:
    """The inputs of a method's prompt, {file they come from: sha256}, and the number of parameters of its text encoder.

    Where no prompt is made they are the phrases, settings and generator. A file that is not what was recorded of it, or
    was made of other weights, is refused.
    """
    manifest = plan.manifest(cell.dataset)
    prompt_inputs = PromptInputs(
        phrases=phrases_of(manifest, plan.suite.prompts),
        settings=plan.settings(cell),
        generator=generator("vectors", cell.dataset, cell.seed),
    )
    weights = plan.weights(cell.model)
    files = {path: sha256(path) for path in (weights, plan.data_folder(cell.dataset) / "manifest.json")}
    if not for_prompt:
        return prompt_inputs, files, 0
    encoder_size, text_states = 0, None
    inputs = plan.method(cell.arm).inputs
    if "text_states" in plan.inputs_of(cell):
        path = plan.text_states(cell.model, cell.dataset)
        text_states, size = read_text_states(path, files[weights])
        files[path] = sha256(path)
        if "text_states" in inputs:
            prompt_inputs.text_states, encoder_size = text_states, size
    prompt_inputs.start_std = start_std(
        prompt_inputs.settings.start_std, model=cell.model, weights=weights, text_states=text_states
    )
    if "text_encoder" in inputs:
        prompt_inputs.text_encoder = load_text_encoder(cell.model, weights)
        prompt_inputs.tokenizer = caption_tokenizer(plan, cell.model)
        encoder_size = sum(parameter.numel() for parameter in prompt_inputs.text_encoder.parameters())
    for name, first in plan.cells_before(cell).items():
        file = state_file(first)
        files[file] = recorded_state(first.folder)
        state = State.load(file, files[file])
        if name == "stage1":
            prompt_inputs.concepts = _concepts(state, file)
        else:
            refuse_other_weights(state.base_sha256, files[weights], where=file)
            prompt_inputs.tuned = TunedValues(state.trained, state.language)
    return prompt_inputs, files, encoder_size


def _concepts(state: State, file: Path) -> LanguageFeatures:
    if state.language is None:
        raise ConesError(
            "holds no language features: the prompt of stage 1 looks at the image, or the cell was skipped",
            where=file,
            next_step="name another arm in `stage1` of this arm",
        )
    return state.language
