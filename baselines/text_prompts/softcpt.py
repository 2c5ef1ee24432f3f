"""SoftCPT: contexts of several data sets, made from their names by one shared matrix (arXiv 2208.13474).

Official code: kding1225/softcpt 7cab4b9, trainers/mtcoop.py, configs/trainers/MTCoOp/rn50_ep50.yaml. A task is a data
set. Its feature is the text "[4 vectors] task name." through the frozen encoder, not made unit; times a matrix A it
gives the task's M = 16 context vectors. `variant`, in the code's letters: NA, no class part; CA and CS, the feature of
"[4 vectors] class name." stands before the task's (vectors of all classes, or of each), so that each class has a
context of its own; TA or TS, the task's vectors are shared by all tasks or its own. Cross-entropy among the classes of
an image's own task, its sum divided by the batch; all vectors and A from N(0, 0.02²), SGD 0.002, batch 32, 50 epochs,
ResNet-50.

Code and paper: the code registers one optimiser under three names (four with a class part), so that it steps as often
for each batch, and its schedule goes up again; here each batch is one step, as in the paper. Left out: the sub-sampled
negatives of class-specific variants. The data sets are those of a group of the suite (`joint`).
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.text_prompts.context import ContextTexts, drawn_context, images_in
from baselines.text_prompts.kept_texts import KeptTexts
from cones.methods.classifier import Classifier, ClassifierInputs, ClassifierMethod, Recipe, Task, choice
from cones.models.dual_encoder import ImageFeatures, scaled_cosines
from cones.models.losses import LossTerm, LossTerms

METHOD = {
    "name": "softcpt",
    "classifier": "SoftCPT",
    "not_for_detectors": "one matrix makes the contexts of several data sets that train together, and a detector's"
    " cell is tuned on one",
    "label": "SoftCPT",
    "block": "text_prompts",
    "has_vectors": False,
    "inputs": ["joint"],
    "survey": {
        "paper": "arXiv 2208.13474",
        "idea": "contexts of several data sets, made from their names by one matrix",
        "attaches": "text encoder, input",
        "trains": "4 vectors and a matrix to 16 vectors",
        "quirk": "the code steps three or four times for each batch",
    },
}
VARIANTS = ("NATA", "NATS", "CATA", "CATS", "CSTA", "CSTS")


class SharedPrompts(Classifier):
    """`learned`: task (4, w) or (T, 4, w); generator (d or 2 d, M w); class_ (4, w) or (K, 4, w) with a class part."""

    keeps_texts = True

    def __init__(self, inputs: ClassifierInputs, tasks: list[Task], learned: nn.ParameterDict, own: dict[str, Any]):
        super().__init__()
        self.kept = KeptTexts()
        encoder, tokenizer = inputs.encoder, inputs.tokenizer
        self.scale, self.learned, self.vectors = inputs.logit_scale, learned, own["vectors"]
        self.task_texts = ContextTexts(encoder, tokenizer, [task.name for task in tasks], vectors=own["inner_vectors"])
        self.texts = ContextTexts(encoder, tokenizer, inputs.names, vectors=own["vectors"])
        self.inner_texts = None
        if "class_" in learned:
            self.inner_texts = ContextTexts(encoder, tokenizer, inputs.names, vectors=own["inner_vectors"])
        task_of = [number for number, task in enumerate(tasks) for _ in range(task.classes)]
        device = encoder.logit_scale.device
        self.register_buffer("task_of", torch.tensor(task_of, device=device), persistent=False)  # (K,)

    def generator_input(self) -> Tensor:
        """(T, d), or (K, 2 d) with a class part; not normalised."""
        tasks = self.task_texts(self.learned["task"])
        if self.inner_texts is None:
            return tasks
        return torch.cat([self.inner_texts(self.learned["class_"]), tasks[self.task_of]], 1)

    def contexts(self) -> Tensor:
        """(T or K, M, w)."""
        return (self.generator_input() @ self.learned["generator"]).unflatten(1, (self.vectors, -1))

    def class_texts(self) -> Tensor:
        """(K, d), not normalised; at test made once for as long as nothing learned changes."""
        return self.kept.at_test(self, self.learned.values(), self._made_texts)

    def _made_texts(self) -> Tensor:
        contexts = self.contexts()
        return self.texts(contexts[self.task_of] if self.inner_texts is None else contexts)

    def forward(self, images: ImageFeatures) -> Tensor:
        return scaled_cosines(images.pooled, self.class_texts(), self.scale)

    def of_own_task(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Logits (B, K) in which classes of other tasks than the label's cannot be meant."""
        return logits.masked_fill(self.task_of != self.task_of[labels][:, None], float("-inf"))


class SoftCPT(ClassifierMethod):
    """Vectors and matrix train; what belongs to no single class or task serves other classes too."""

    reads = frozenset({"pooled", "text_encoder"})
    unseen_classes = True
    recipe = Recipe(
        optimiser="sgd",
        learning_rate=2e-3,
        epochs=50,
        options={"variant": "NATA", "vectors": 16, "inner_vectors": 4, "start_std": 0.02},
    )

    def classifier(self, inputs: ClassifierInputs) -> SharedPrompts:
        own, tasks, encoder = self.options(inputs), tasks_of(inputs), inputs.encoder
        class_part, task_part = self.parts(own)
        inner, std = own["inner_vectors"], own["start_std"]
        learned = {"task": drawn_context(inputs, *([len(tasks)] if task_part == "TS" else []), inner, std=std)}
        if class_part != "NA":
            learned["class_"] = drawn_context(
                inputs, *([len(inputs.names)] if class_part == "CS" else []), inner, std=std
            )
        rows = encoder.width * len(learned)
        learned["generator"] = drawn_context(inputs, rows, own["vectors"], std=std).flatten(1)
        return SharedPrompts(inputs, tasks, nn.ParameterDict(learned), own)

    def for_classes(self, classifier: SharedPrompts, inputs: ClassifierInputs) -> SharedPrompts | None:
        own, tasks = self.options(inputs), tasks_of(inputs)
        class_part, task_part = self.parts(own)
        if class_part == "CS" or (task_part == "TS" and len(tasks) != len(classifier.learned["task"])):
            return None
        return SharedPrompts(inputs, tasks, classifier.learned, own)

    @staticmethod
    def parts(own: dict[str, Any]) -> tuple[str, str]:
        """NA, CA or CS, and TA or TS."""
        variant = choice("variant", own["variant"], VARIANTS)
        return variant[:2], variant[2:]

    def loss_terms(self, classifier: SharedPrompts, images: ImageFeatures, labels: Tensor) -> LossTerms:
        logits = classifier.of_own_task(classifier(images), labels)
        return {"cross_entropy": LossTerm(F.cross_entropy(logits, labels, reduction="sum"), images_in(labels))}


def tasks_of(inputs: ClassifierInputs) -> list[Task]:
    """The data sets that are trained on together, or the one there is."""
    return list(inputs.tasks) or [Task(inputs.dataset.replace("_", " "), len(inputs.names))]
