"""Step `embed`: the class vectors of a cell and, where Table 3 asks, its boxes beside them."""

import torch

from cones.analysis.boxes import box_vectors
from cones.analysis.embeddings import Embeddings, class_vectors
from cones.analysis.names import EMBEDDINGS, ISOLATED, TOGETHER
from cones.artifacts import sha256
from cones.cell import Cell, Plan
from cones.determinism import generator, make_deterministic
from cones.devices import best_device
from cones.models.checkpoints import load_detector, load_text_encoder, tokenizer_for
from cones.progress import log
from cones.prompts import CaptionPrompt, FixedPrompt, PromptContext, encode_caption
from cones.state import State
from cones.steps.text import phrases_of
from cones.steps.tune import open_split, state_file
from cones.verification import recorded_state


def embed_cell(plan: Plan, cell: Cell) -> None:
    """Writes `embeddings.safetensors`. The boxes of a dataset are the same for every model, method and seed."""
    make_deterministic()
    digest, path = recorded_state(cell.folder), cell.folder / EMBEDDINGS
    state = State.load(state_file(cell), digest)
    if state.skipped:
        Embeddings(skipped=state.skipped, state_sha256=digest).save(path)
        return
    found = Embeddings(classes={TOGETHER: class_vectors(state.language)}, state_sha256=digest)
    if plan.settings(cell).method == "zero_shot":
        found.classes[ISOLATED] = isolated_names(plan, cell)
    if plan.compares_boxes(cell):
        found.labels, found.boxes = _boxes(plan, cell, state)
    found.save(path)
    boxes = 0 if found.labels is None else len(found.labels)
    log.info("%s: %d classes, %d boxes", path, len(found.classes[TOGETHER]), boxes)


def isolated_names(plan: Plan, cell: Cell) -> torch.Tensor:
    """(K, D): each class name alone in a caption; what a caption's classes share is not in these vectors."""
    encoder, tokenizer = load_text_encoder(cell.model, plan.weights(cell.model)).eval(), tokenizer_for(cell.model)
    vectors = []
    with torch.no_grad():
        for phrase in phrases_of(plan.manifest(cell.dataset), plan.suite.prompts):
            prompt = CaptionPrompt(encoder, encode_caption(tokenizer, [phrase]))
            vectors.append(class_vectors(prompt(PromptContext()))[0])
    return torch.stack(vectors)


def _boxes(plan: Plan, cell: Cell, state: State) -> tuple[torch.Tensor, dict]:
    device, weights = best_device(), plan.weights(cell.model)
    model = load_detector(cell.model, weights)
    state.apply_to(model, where=state_file(cell), base_sha256=sha256(weights))
    model.to(device).eval()
    split = open_split(plan, cell, "test", model)
    language = FixedPrompt(state.language).to(device)(PromptContext())
    return box_vectors(model, language, split, generator("boxes", cell.dataset))
