"""UPL: CoOp on what zero-shot says about unlabelled images (arXiv 2204.03649).

Official code: tonyhuang2022/UPL 97f671f, trainers/upltrainer.py, trainers/utils.py, get_info.py, upl_train.py,
upl_test.py, configs/trainers/UPLTrainer/rn50_ep50.yaml. Zero-shot probabilities of every training image; of each
predicted class the 16 most confident are kept with that class as their label, fewer where it is predicted less often.
Then CoOp (M = 16, random start, SGD 0.002, 50 epochs, batch 32), 16 times; at test the runs' logits are averaged. No
label plays a part, nor does the threshold that the configuration names.

What differs: images come in the same order in all runs, whose starts alone differ. UPL*, which averages the
probabilities of several models, is in `most_confident`; a cell has one model. On a detector: `own_boxes.py`.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from baselines.text_prompts.context import START, ContextClassifier, start_of_context
from baselines.text_prompts.coop import CoOp
from baselines.text_prompts.own_boxes import ContextOfOwnBoxes
from cones.methods.classifier import Classifier, ClassifierInputs, LabelledFeatures, Recipe, Tune
from cones.models.dual_encoder import ImageFeatures, scaled_cosines
from cones.runtime.errors import ConesError
from cones.runtime.progress import log

METHOD = {
    "name": "upl",
    "class": "OwnBoxes",
    "classifier": "UPL",
    "label": "UPL",
    "block": "text_prompts",
    "inputs": ["text_encoder", "text_states"],
    "start_std": "word",
    "vectors_alone": True,
    "has_vectors": False,
    "survey": {
        "paper": "arXiv 2204.03649",
        "idea": "CoOp on what zero-shot says about unlabelled images",
        "attaches": "text encoder, input",
        "trains": "16 vectors, 16 times; the runs' logits are averaged",
        "quirk": "uses no label: what zero-shot cannot see, it does not learn",
    },
}


class AveragedRuns(Classifier):
    """The mean of several classifiers' logits."""

    keeps_texts = True

    def __init__(self, runs: Sequence[ContextClassifier]):
        super().__init__()
        self.runs = nn.ModuleList(runs)

    def forward(self, images: ImageFeatures) -> Tensor:
        return torch.stack([run(images) for run in self.runs]).mean(0)


class UPL(CoOp):
    """No label is used."""

    labels = "none"
    needs_unlabelled = True
    recipe = Recipe(
        optimiser="sgd", learning_rate=2e-3, epochs=50, options={**START, "images_per_class": 16, "runs": 16}
    )

    def classifier(self, inputs: ClassifierInputs) -> AveragedRuns:
        own = self.options(inputs)
        first = self.with_context(inputs, start_of_context(inputs, own))
        more = [start_of_context(inputs, own) for _ in range(own["runs"] - 1)]
        return AveragedRuns([first, *(ContextClassifier(first.texts, one, inputs.logit_scale) for one in more)])

    def for_classes(self, classifier: AveragedRuns, inputs: ClassifierInputs) -> AveragedRuns:
        first = self.with_context(inputs, classifier.runs[0].context)
        more = (ContextClassifier(first.texts, run.context, inputs.logit_scale) for run in classifier.runs[1:])
        return AveragedRuns([first, *more])

    def fit(self, classifier: AveragedRuns, inputs: ClassifierInputs, tune: Tune) -> None:
        images = self.pseudo_labelled(inputs)
        for run in classifier.runs:
            tune(run, images)

    def pseudo_labelled(self, inputs: ClassifierInputs) -> LabelledFeatures:
        """The images that are trained on, in their order among all; what is found is logged."""
        if inputs.unlabelled is None or not len(inputs.unlabelled):
            raise ConesError(
                "UPL needs unlabelled images", where=inputs.dataset or None, next_step="give a train split"
            )
        zero_shot = scaled_cosines(inputs.unlabelled.pooled, inputs.class_texts(), inputs.logit_scale)
        rows, labels = most_confident([zero_shot.softmax(-1)], self.options(inputs)["images_per_class"])
        found = len(labels.unique())
        log.info(
            "%d of %d images get a label, of %d of %d classes", len(rows), len(zero_shot), found, len(inputs.names)
        )
        return LabelledFeatures(inputs.unlabelled[rows], labels)


class OwnBoxes(ContextOfOwnBoxes):
    """On a detector: the context trains on boxes that the untuned detector finds."""


def most_confident(probabilities: Sequence[Tensor], per_class: int) -> tuple[Tensor, Tensor]:
    """Of the mean of several models' probabilities (n, K): which rows are the surest of each predicted class, in rising
    order, and that class."""
    sure, predicted = torch.stack(list(probabilities)).mean(0).max(-1)
    rows = [
        of_class[sure[of_class].argsort(descending=True, stable=True)[:per_class]]
        for of_class in (torch.nonzero(predicted == label)[:, 0] for label in predicted.unique())
    ]
    rows = torch.cat(rows).sort().values
    return rows, predicted[rows]
