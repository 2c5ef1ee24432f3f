"""MVLPT: context vectors learned on several data sets, then on the target (WACV 2024, arXiv 2211.11720), text form.

Official code: sIncerass/MVLPT 6fa518b, trainers/mvlpt.py, scripts/mvlpt. CoOp (coop.py) with M = 16 vectors of all
classes and all tasks, half of them before the name and half behind it. Stage 1: the classes of all source tasks in one
row, one softmax over them, as the published scripts do; an answer is sought among the classes of the picture's own
task. Stage 2: one task, started from the vectors of stage 1, or from their mean over seeds; nothing else is carried
over. Cross-entropy, N(0, 0.02²), SGD 0.002, batch 32, 200 epochs.

`mvlpt` is one data set: with `inputs.extra["sources"]`, the tensors of trainings of stage 1, its second stage; without
it trains on the target alone, as the published single-task runs do. `mvlpt_tasks` is stage 1 on a group of data sets
(`joint`). `across_tasks` false is the code's option of a softmax for each task: logits of other tasks are multiplied by
0 and not removed, so that each still counts as exp 0 (a quirk of the code that its scripts never turn on).

What differs: the code takes the best epoch on validation, here the last one counts. Its image and joint forms are
`vpt_deep` and `upt`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from baselines.text_prompts.context import OPTIONS, ContextClassifier, cross_entropy
from baselines.text_prompts.coop import CoOp
from cones.methods.classifier import ClassifierInputs, Recipe
from cones.models.dual_encoder import ImageFeatures
from cones.models.losses import LossTerms
from cones.runtime.errors import ConesError

METHOD = [
    {
        "name": "mvlpt",
        "classifier": "MVLPT",
        "not_for_detectors": "starts from prompts that were trained on several data sets at once, and a detector's"
        " cell is tuned on one",
        "inputs": ["sources"],
        "label": "MVLPT (text), one set",
        "block": "joint_prompts",
        "has_vectors": False,
        "survey": {
            "paper": "WACV 2024, arXiv 2211.11720",
            "idea": "CoOp with the class name in the middle, to be started from vectors of other data sets",
            "attaches": "text encoder, input",
            "trains": "16 vectors, shared by all classes",
            "quirk": "without vectors of other data sets it is the published single-task form",
        },
    },
    {
        "name": "mvlpt_tasks",
        "classifier": "MVLPT",
        "not_for_detectors": "trains prompts on several data sets at once, and a detector's cell is tuned on one",
        "label": "MVLPT (text), several sets",
        "block": "joint_prompts",
        "has_vectors": False,
        "inputs": ["joint"],
        "survey": {
            "paper": "WACV 2024, arXiv 2211.11720",
            "idea": "one context for several data sets, trained on all of their classes together",
            "attaches": "text encoder, input",
            "trains": "16 vectors, shared by all classes and data sets",
            "quirk": "one softmax over all data sets' classes, although answers are sought in one of them",
        },
    },
]


class SharedContext(ContextClassifier):
    """`task_of` (K,) says to which data set each class belongs."""

    def of_own_task(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Logits (B, K) with those of other tasks than the label's times 0, as the code has it."""
        return logits * (self.task_of == self.task_of[labels][:, None])


class MVLPT(CoOp):
    """The context trains, and serves any classes."""

    recipe = Recipe(
        optimiser="sgd",
        learning_rate=2e-3,
        epochs=200,
        options={**OPTIONS, "position": "middle", "across_tasks": True},
    )

    def classifier(self, inputs: ClassifierInputs) -> SharedContext:
        if sources := inputs.extra.get("sources"):
            contexts = [state["context"] for state in sources if "context" in state]
            return self.with_context(inputs, mean_context(contexts, width=inputs.encoder.text_width))
        return super().classifier(inputs)

    def with_context(self, inputs: ClassifierInputs, context: Tensor) -> SharedContext:
        found = SharedContext(self.texts(inputs, context.shape[-2]), context, inputs.logit_scale)
        counts = [task.classes for task in inputs.tasks] or [len(inputs.names)]
        task_of = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
        found.register_buffer("task_of", task_of.to(context.device), persistent=False)
        found.across_tasks = self.options(inputs)["across_tasks"]
        return found

    def loss_terms(self, classifier: SharedContext, images: ImageFeatures, labels: Tensor) -> LossTerms:
        logits = classifier(images)
        if not classifier.across_tasks:
            logits = classifier.of_own_task(logits, labels)
        return {"cross_entropy": cross_entropy(logits, labels)}


def mean_context(sources: Sequence[Tensor], *, width: int) -> Tensor:
    """(M, w), the mean over the seeds of stage 1. ConesError if the vectors do not fit each other or the encoder."""
    shapes = {tuple(source.shape) for source in sources}
    if len(shapes) != 1 or any(len(shape) != 2 or shape[-1] != width for shape in shapes):
        raise ConesError(
            "vectors of stage 1 that do not fit",
            where='inputs.extra["sources"]',
            expected=f"all of one shape (M, {width})",
            found=", ".join(map(str, sorted(shapes))),
            next_step="take vectors that were learned with this model",
        )
    return torch.stack(list(sources)).mean(0)
