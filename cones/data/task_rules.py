"""What a registry entry and its formats must have, and must not have, for its task."""

from __future__ import annotations

import re
from types import ModuleType
from typing import TYPE_CHECKING

from cones.data.class_trees import fault_of
from cones.runtime.errors import ConesError

if TYPE_CHECKING:
    from cones.data.registry import Dataset

CLASSIFICATION = "classification"  # one class a picture
MULTI_LABEL = "multi_label"  # several classes a picture, those of its boxes
DENSE = "dense"  # one class a pixel, of pictures with class maps
LABELLED = (CLASSIFICATION, MULTI_LABEL, DENSE)  # of models with two encoders: items.json, and classes in texts
MISSING_COUNTS = "`expected` is missing: images per split, such as {images: {train: 80, val: 20}}"

MADE_FOR = {"class_names": CLASSIFICATION, "numbers": DENSE}  # what a format's converter defines -> its only task
GIVES = {
    CLASSIFICATION: "gives pictures one class each, and no boxes",
    DENSE: "gives pictures a class map each, and no boxes",
}
FORMATS_FOR = {CLASSIFICATION: "class_folders", DENSE: "class_maps"}  # one of those that are made for a task


def task_fault(entry: Dataset) -> str | None:
    """The first reason why an entry does not fit its task, or None."""
    has_captions = any(source.captions for source in entry.sources.values())
    if entry.task != MULTI_LABEL and (entry.synonyms or has_captions):
        return "`synonyms` and `captions` are for `task: multi_label`"
    if entry.task in LABELLED:
        return _labelled_fault(entry)
    if not entry.classes:
        return "`classes` is missing or empty: name at least one class"
    if entry.template is not None or entry.texts or entry.tree is not None:
        return "`template`, `texts`, `tree` are for classes in sentences; `prompts` say captions"
    if any(source.archives and source.expected is None for source in entry.sources.values()):
        return MISSING_COUNTS
    return None


def _labelled_fault(entry: Dataset) -> str | None:
    template = entry.template or "{}"
    if entry.task != CLASSIFICATION and not entry.classes:
        order = ", in the order of their numbers" if entry.task == DENSE else ""
        return f"`classes` is missing or empty: name at least one class{order}"
    if entry.task == MULTI_LABEL and len(entry.classes) < 2:
        return "`classes` has one class alone, which every picture with an object shows: name what else there is"
    if entry.task == DENSE and len(entry.classes) < 2:
        return "`classes` has one class alone, so every pixel would be right: name what else there is, as a class"
    if entry.task != CLASSIFICATION and entry.tree is not None:
        return "`tree` is for one class a picture: `task: classification`"
    if re.sub(r"[^{}]", "", template) != "{}" or "{}" not in template:
        return "`template` must hold {} once, where the class name goes, and no other brace: a photo of a {}."
    for key in ("texts", "synonyms"):
        if entry.classes and (unknown := sorted(set(getattr(entry, key)) - set(entry.classes))):
            return f"`{key}` names what is no class: {unknown[0]}"
    said = [text.lower() for name in entry.classes for text in (entry.text_of(name), *entry.synonyms.get(name, ()))]
    if entry.task == MULTI_LABEL and (twice := sorted(text for text in set(said) if said.count(text) > 1)):
        return f'"{twice[0]}" names two classes (`classes`, `texts`, `synonyms`): a caption could mean either'
    if entry.tree is not None and (fault := fault_of(entry.tree, entry.classes, entry.text_of)):
        return f"`tree`: {fault}"
    return None


def require_format_of_task(task: str, converter: ModuleType, where: str) -> None:
    """ConesError if a format of labelled pictures or class maps is named for another task, or the other way round."""
    own = next((made_for for part, made_for in MADE_FOR.items() if hasattr(converter, part)), None)
    wanted = FORMATS_FOR.get(task)
    if own == (task if wanted else None):
        return
    steps = [f"set `task: {own}`"] if own else []
    other = f"a format of docs/datasets.md for {task}, such as {wanted}" if wanted else "another format"
    steps += [f"take {other}"] if own else [f"take {other}", "another task"]
    raise ConesError(
        f"this format {GIVES[own]}" if own else "this format has no classes of whole pictures or of pixels",
        where=f"{where}.name",
        found=f"{converter.FORMAT['name']} with task {task}",
        next_step=", or ".join(steps),
    )
