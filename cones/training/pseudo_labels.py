"""Training images labelled by the untuned detector itself, for methods that need no labels."""

from collections import Counter

from cones.data.batches import Split
from cones.data.masks import area_of
from cones.evaluation.prediction import predict
from cones.methods.method import PromptInputs, TuningMethod
from cones.methods.prompts import Prompt
from cones.models.detector import GroundedDetector
from cones.runtime.processes import Processes
from cones.runtime.progress import log


def pseudo_labelled(
    split: Split,
    model: GroundedDetector,
    method: TuningMethod,
    prompt_inputs: PromptInputs,
    pyramids,
    ranks: Processes,
    *,
    masks: bool,
) -> Split:
    """The split with `pseudo_labels` of the method as its annotations, the same in every process. Given annotations
    are taken away before the method is asked. `masks` says whether those of the detector are trained on."""
    images, device = split.with_annotations([], masks=False), next(model.parameters()).device
    precision = prompt_inputs.settings.scoring_precision

    def found(prompt: Prompt) -> list[dict]:
        label = f"{prompt_inputs.settings.method}: pseudo labels"
        results = predict(model.eval(), prompt.to(device).eval(), images, pyramids, label=label, precision=precision)
        return [result for result in results if is_usable(result, masks=masks)]

    results = ranks.of_first(lambda: method.pseudo_labels(prompt_inputs, found))
    kept = ("image_id", "category_id", "bbox", *(("segmentation",) if masks else ()))
    annotations = [
        {"id": number, "iscrowd": 0, **{name: result[name] for name in kept}}
        for number, result in enumerate(results, start=1)
    ]
    return images.with_annotations(annotations, masks=masks)


def is_usable(result: dict, *, masks: bool) -> bool:
    """Whether a COCO result can be trained on: its box is longer than a pixel on both sides, its mask not empty."""
    return min(result["bbox"][2:]) > 1 and (not masks or area_of(result["segmentation"]) > 0)


def counted(split: Split, names: list[str]) -> dict:
    """Of a split with pseudo labels how many images have one, and how many boxes each class has; both are logged."""
    boxes = Counter(annotation["category_id"] for annotation in split.coco["annotations"])
    by_class = {name: boxes[category] for category, name in enumerate(names, start=1)}
    labelled = len(split.trainable_indices())
    log.info("pseudo labels in %d of %d training images: %s", labelled, len(split), by_class)
    if missing := [name for name, count in by_class.items() if not count]:
        log.info("no pseudo label, and nothing to learn from, for %d classes: %s", len(missing), ", ".join(missing))
    return {"images": labelled, "of": len(split), "boxes": by_class}
