"""What training left in a classifier: its tensors, and what tables say of them and of how they came about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from cones.evaluation.classification_metrics import Trained
from cones.experiment.classification_cells import sources_of, targets_of
from cones.methods.classifier import Choice, Classifier
from cones.methods.settings import Recipe
from cones.models.dual_encoder import DualEncoder

if TYPE_CHECKING:
    from cones.steps.classify import CellFit

NOTHING_CHOSEN = "no validation images: nothing was chosen, the values given are kept"


def trained_of(
    fit: CellFit,
    before: Mapping[str, Tensor],
    tensors: Mapping[str, Tensor],
    choice: Choice | None,
    runs: Sequence[Mapping],
) -> Trained:
    """What a fit learnt and needs; `before` are the classifier's buffers at its start, `tensors` what is stored, `runs`
    how each of its trainings went (`ClassifierTuner.record`)."""
    method, few, chosen = fit.method, fit.few, choice.taken if choice else {}
    selection, notes = method.selection, [method.note(fit.inputs)]
    if selection == "val" and fit.own.val_is:
        other = "training" if fit.own.val_is == "train" else "test"
        notes.append(f"validation and {other} are the same pictures: nothing is chosen on them")
    if selection == "val" and not few.val:
        selection = "none"
        notes.append(NOTHING_CHOSEN)
    if fit.recipe.max_steps is not None:
        notes.append(f"{fit.recipe.max_steps} steps at most, whatever the epochs")
    scores_with_texts = "text_encoder" in method.reads and not fit.classifier.keeps_texts
    notes += [*_not_as_published(fit), *_warm_up(fit.recipe, runs), *_sources(fit), *fit.notes()]
    return Trained(
        values=_learnt_values(fit.classifier, before, chosen),
        stored_bytes=sum(value.numel() * value.element_size() for value in tensors.values()),
        text_encoder=_text_values(fit.inputs.encoder) if scores_with_texts else 0,
        train_images=len(few.train) if method.labels == "train" else 0,
        val_images=len(few.val) if method.selection == "val" else 0,
        short_classes=few.short if method.labels == "train" else {},
        chosen=dict(chosen),
        labels=method.labels,
        selection=selection,
        note="; ".join(filter(None, notes)) or None,
    )


def own_tensors(classifier: Classifier, encoder: DualEncoder | None) -> dict[str, Tensor]:
    """The tensors of a classifier that are not weights of the base model as they were."""
    frozen = set()
    if encoder is not None:
        frozen = {value.data_ptr() for value in encoder.parameters() if not value.requires_grad}
        frozen |= {value.data_ptr() for value in encoder.buffers()}
    return {name: value for name, value in classifier.state_dict().items() if value.data_ptr() not in frozen}


def _learnt_values(classifier: Classifier, before: Mapping[str, Tensor], chosen: Mapping[str, float]) -> int:
    learnt = sum(value.numel() for value in classifier.parameters() if value.requires_grad)
    for name, value in classifier.named_buffers():  # of a method with a solver of its own
        is_chosen = name.rpartition(".")[2] in chosen
        is_new = name not in before or not torch.equal(value, before[name])
        if value.is_floating_point() and not is_chosen and is_new:
            learnt += value.numel()
    return learnt


def _not_as_published(fit: CellFit) -> list[str]:
    """The numbers of the recipe, and the method's own, that are not its defaults here, as a table says them."""
    usual, here = (recipe.model_dump(exclude={"max_steps", "options"}) for recipe in (fit.method.recipe, fit.recipe))
    usual, here = usual | fit.method.recipe.options, here | fit.recipe.options
    changed = {name: value for name, value in here.items() if value != usual.get(name)}
    return [f"{name} {value} (default {usual.get(name)})" for name, value in changed.items()]


def _warm_up(recipe: Recipe, runs: Sequence[Mapping]) -> list[str]:
    """Of trainings that hardly left the warm-up, at whose rate nearly nothing moves, how much of them it was."""
    found = {}
    for run in runs:
        of_epoch = run["history"][0]["steps"] if run["history"] else 0
        steps = min(run["steps"], recipe.warmup_epochs * of_epoch)
        if 2 * steps > run["steps"]:
            share = "all" if steps == run["steps"] else steps
            found[f"{share} of its {run['steps']} steps are warm-up, at the rate {recipe.warmup_rate:g}"] = None
    return [*found]


def _sources(fit: CellFit) -> list[str]:
    if not (sources := sources_of(fit.plan, fit.cell)):
        return []
    sets, seeds = ", ".join(targets_of(fit.plan, sources[0])), ", ".join(str(one.seed) for one in sources)
    return [f"started from trainings on {sets} (seeds {seeds}), whose values and seconds are not counted"]


def _text_values(encoder: DualEncoder | None) -> int:
    """Parameters of an encoder outside its image encoder and its scale."""
    if encoder is None:
        return 0
    named = encoder.named_parameters()
    return sum(
        value.numel() for name, value in named if not name.startswith(encoder.image_prefix) and name != "logit_scale"
    )
