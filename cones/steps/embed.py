"""Step `embed`: the class vectors of a cell and, where Table 3 needs them, the features of its boxes."""

import torch

from cones.data.batches import View, batch_of
from cones.experiment.cell import Cell, Plan
from cones.methods.prompts import CaptionPrompt, PromptContext, encode_caption
from cones.models.checkpoints import load_text_encoder
from cones.outputs.analysis.boxes import box_vectors
from cones.outputs.analysis.embeddings import Embeddings, class_vectors
from cones.outputs.analysis.names import EMBEDDINGS, ISOLATED, TOGETHER
from cones.runtime.determinism import generator, make_deterministic
from cones.runtime.progress import log
from cones.runtime.verification import recorded_state
from cones.steps.base_model import caption_tokenizer
from cones.steps.device import device_for
from cones.steps.text import phrases_of
from cones.steps.tune import open_split, state_file
from cones.steps.tuned import load_tuned
from cones.training.state import State


def embed_cell(plan: Plan, cell: Cell) -> None:
    """Writes `embeddings.safetensors`. The boxes of a dataset are the same for every model, method and seed."""
    make_deterministic(torch.device("cpu"))
    digest, path = recorded_state(cell.folder), cell.folder / EMBEDDINGS
    state = State.load(state_file(cell), digest)
    if state.skipped:
        Embeddings(skipped=state.skipped, state_sha256=digest).save(path)
        return
    embeddings = Embeddings(classes={TOGETHER: class_vectors_of(plan, cell, state)}, state_sha256=digest)
    if plan.settings(cell).method == "zero_shot":
        embeddings.classes[ISOLATED] = isolated_names(plan, cell)
    if plan.compares_boxes(cell):
        embeddings.labels, embeddings.boxes = _boxes(plan, cell, state)
    embeddings.save(path)
    boxes = 0 if embeddings.labels is None else len(embeddings.labels)
    log.info("%s: %d classes, %d boxes", path, len(embeddings.classes[TOGETHER]), boxes)


def class_vectors_of(plan: Plan, cell: Cell, state: State) -> torch.Tensor:
    """The class vectors (K, D) of a cell; of a prompt that looks at the image, their mean over the test split."""
    if state.language is not None:
        return class_vectors(state.language)
    device = device_for(plan, cell.model)
    tuned = load_tuned(plan, cell, state, device)
    split, total = open_split(plan, cell, "test", tuned.model), 0.0
    with torch.no_grad():
        for index in range(len(split)):
            sample = split.sample(View(index, tuned.model.preprocessing.short_side), at_test=True)
            pyramid = tuned.model.encode_image(batch_of([sample]).to(device))
            total = total + class_vectors(tuned.prompt.for_images(pyramid)).double()
    return (total / len(split)).float().cpu()


def isolated_names(plan: Plan, cell: Cell) -> torch.Tensor:
    """The class vectors (K, D) of each class name alone in a caption, free of what the classes of a caption share."""
    encoder = load_text_encoder(cell.model, plan.weights(cell.model)).eval()
    tokenizer = caption_tokenizer(plan, cell.model)
    vectors = []
    with torch.no_grad():
        for phrase in phrases_of(plan.manifest(cell.dataset), plan.suite.prompts):
            prompt = CaptionPrompt(encoder, encode_caption(tokenizer, [phrase]))
            vectors.append(class_vectors(prompt(PromptContext()))[0])
    return torch.stack(vectors)


def _boxes(plan: Plan, cell: Cell, state: State) -> tuple[torch.Tensor, dict]:
    tuned = load_tuned(plan, cell, state, device_for(plan, cell.model))
    split = open_split(plan, cell, "test", tuned.model)
    return box_vectors(tuned.model, tuned.prompt, split, generator("boxes", cell.dataset))
