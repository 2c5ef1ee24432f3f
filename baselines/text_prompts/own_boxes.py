"""UPL on detectors: CoOp on what the detector finds without any training (arXiv 2204.03649; code and values: `upl.py`).

The untuned detector reads the class names and looks at every training image at test size. Published are the 16 surest
images of each predicted class, an image having the class of its highest probability. Here it is the 16 surest boxes of
each predicted class over all images (`boxes_per_class`), fewer where it is predicted less often, and a class that is
never predicted has none. A box has one class as an image has: of boxes of one image that overlap by an IoU above
`overlap` the surest alone stays, whatever their classes, so that an object counts once. Scores are the detector's own;
as published there is no threshold (`least_score` 0; GLIP itself leaves out what scores below 0.05).

The context of CoOp trains on these boxes, and on the detector's own masks where the dataset has masks, by all of the
detector's losses: one run, as 16 detectors have no common places whose logits could be averaged. Images without a box
take no part; what else an image shows is background there. No given annotation of a training image is read; with
`shots` or `pictures` in a suite, which images there are is drawn by their labels, as for all methods. The epoch that
counts is chosen on labelled validation images, as for all methods: with `selection: last` no label is used at all.
"""

from collections import Counter, defaultdict
from collections.abc import Callable

import torch

from baselines.text_prompts.coop import SharedContext
from cones.methods.method import PromptInputs
from cones.methods.prompts import FixedPrompt, Prompt
from cones.models.layers.boxes import pairwise_iou
from cones.models.layers.suppression import survivors

OPTIONS = {"boxes_per_class": 16, "overlap": 0.5, "least_score": 0.0}


class ContextOfOwnBoxes(SharedContext):
    """The context trains; no label is needed."""

    labels = frozenset()
    options = OPTIONS

    def pseudo_labels(self, prompt_inputs: PromptInputs, found: Callable[[Prompt], list[dict]]) -> list[dict]:
        results = found(FixedPrompt(prompt_inputs.text_states))
        return surest_boxes(results, **self.own(prompt_inputs.settings))


def surest_boxes(results: list[dict], *, boxes_per_class: int, overlap: float, least_score: float) -> list[dict]:
    """Of COCO results the surest of each class that overlap no surer one of their image, in the order given; of equal
    scores the first comes before the second."""
    of_images = defaultdict(list)
    for number, result in enumerate(results):
        if result["score"] >= least_score:
            of_images[result["image_id"]].append(number)
    apart = [number for numbers in of_images.values() for number in _apart(results, numbers, overlap)]
    taken, kept = Counter(), []
    for number in sorted(apart, key=lambda number: (-results[number]["score"], number)):
        taken[results[number]["category_id"]] += 1
        if taken[results[number]["category_id"]] <= boxes_per_class:
            kept.append(number)
    return [results[number] for number in sorted(kept)]


def _apart(results: list[dict], numbers: list[int], overlap: float) -> list[int]:
    """Those of one image's results that greedy suppression by score leaves, whatever their classes."""
    numbers = sorted(numbers, key=lambda number: (-results[number]["score"], number))
    boxes = torch.tensor([results[number]["bbox"] for number in numbers], dtype=torch.float64)  # (M, 4) x, y, w, h
    boxes[:, 2:] += boxes[:, :2]
    alive = survivors((pairwise_iou(boxes, boxes) > overlap).triu(diagonal=1))
    return [number for number, is_kept in zip(numbers, alive.tolist()) if is_kept]
