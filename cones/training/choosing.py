"""Numbers of a method that are chosen on validation after tuning: the first best of its `candidates`."""

from collections.abc import Mapping

import torch

from cones.data.batches import Split
from cones.evaluation.validation import validation_ap
from cones.methods.method import TuningMethod
from cones.methods.prompts import Prompt
from cones.methods.settings import CellSettings
from cones.models.detector import GroundedDetector
from cones.runtime.progress import log


def candidates_of(method: TuningMethod, settings: CellSettings) -> list[dict[str, float]]:
    """The settings that are tried, each once: what the arm gives in its `options` stays as it is given."""
    given = settings.options
    found = [{name: given.get(name, value) for name, value in one.items()} for one in method.candidates]
    return [one for place, one in enumerate(found) if one not in found[:place]]


def choose(
    model: GroundedDetector, prompt: Prompt, method: TuningMethod, val: Split, pyramids, settings: CellSettings
) -> dict | None:
    """Set the prompt's buffers to the first of `candidates_of` that is best on validation, and return it with the AP of
    all: {"taken": {name: number}, "tried": [[{name: number}, AP]]}.

    None, and nothing changes, for a method with less than two, with `selection: last` (validation decides nothing
    then), and where validation has nothing to find.
    """
    candidates = candidates_of(method, settings)
    if len(candidates) < 2 or settings.tuning.selection == "last" or not val.coco["annotations"]:
        return None
    tried = []
    for number, candidate in enumerate(candidates, start=1):
        put(prompt, candidate)
        label = f"candidate {number} of {len(candidates)}"
        options = {"label": label, "precision": settings.scoring_precision}
        tried.append((dict(candidate), validation_ap(model, prompt, method, val, pyramids, **options)))
    taken = max(tried, key=lambda one: one[1])[0]  # of equals the first
    put(prompt, taken)
    log.info("chosen on validation: %s", ", ".join(f"{name} {value:g}" for name, value in taken.items()))
    return {"taken": taken, "tried": [list(one) for one in tried]}


def put(prompt: Prompt, values: Mapping[str, float]) -> None:
    buffers = dict(prompt.named_buffers())
    with torch.no_grad():
        for name, value in values.items():
            buffers[name].fill_(value)
