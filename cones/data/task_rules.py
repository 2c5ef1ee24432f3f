"""What a registry entry must have, and must not have, for its task."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cones.data.class_trees import fault_of

if TYPE_CHECKING:
    from cones.data.registry import Dataset

CLASSIFICATION = "classification"  # one class a picture
MULTI_LABEL = "multi_label"  # several classes a picture, those of its boxes
LABELLED = (CLASSIFICATION, MULTI_LABEL)  # the tasks of models with two encoders
MISSING_COUNTS = "`expected` is missing: images per split, such as {images: {train: 80, val: 20}}"


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
        return "`template`, `texts`, `tree` are for `task: classification`; `prompts` say captions"
    if any(source.archives and source.expected is None for source in entry.sources.values()):
        return MISSING_COUNTS
    return None


def _labelled_fault(entry: Dataset) -> str | None:
    template, has_several = entry.template or "{}", entry.task == MULTI_LABEL
    if has_several and not entry.classes:
        return "`classes` is missing or empty: name at least one class"
    if has_several and entry.tree is not None:
        return "`tree` is for one class a picture: `task: classification`"
    if re.sub(r"[^{}]", "", template) != "{}" or "{}" not in template:
        return "`template` must hold {} once, where the class name goes, and no other brace: a photo of a {}."
    for key in ("texts", "synonyms"):
        if entry.classes and (unknown := sorted(set(getattr(entry, key)) - set(entry.classes))):
            return f"`{key}` names what is no class: {unknown[0]}"
    said = [text.lower() for name in entry.classes for text in (entry.text_of(name), *entry.synonyms.get(name, ()))]
    if has_several and (twice := sorted(text for text in set(said) if said.count(text) > 1)):
        return f'"{twice[0]}" names two classes (`classes`, `texts`, `synonyms`): a caption could mean either'
    if entry.tree is not None and (fault := fault_of(entry.tree, entry.classes, entry.text_of)):
        return f"`tree`: {fault}"
    return None
