"""SubPT: CoOp whose steps stay in the directions of its own first epochs (TCSVT 2023, arXiv 2211.02219).

Official code: machengcheng2016/Subspace-Prompt-Learning d546764, CoOp/compute_eigenvector.py, trainers/coop_sub.py,
coop_nfl.py and coop_sub_nfl.py of CoOp/; the step is in its Dassl.pytorch, dassl/engine/trainer.py. Stage 1 is CoOp (M
= 16, random start); its contexts after epochs 1 … t give r principal directions U (mean over epochs subtracted). Stage
2 trains again, its gradient g replaced by UᵀU g; momentum stays inside, the decay, added later, does not. (t, r) is
(10, 5) with one image of a class, (20, 10) with 2, (30, 10) with 4, (40, 10) with 8, (50, 10) with 16. The novel
feature learner (`extra_names`, weight 1) adds the mean of 1 - cos(learned text, zero-shot text) over names that are not
classes: 100 of ImageNet there, none by default here, with anchors in the set's template.

Code and paper (`form`): the scripts mean stage 2 to start at epoch 1 of stage 1 (paper); nothing in the code reads that
setting, so that it starts where stage 1 did (code). Left out: the l2 form of the extra term, which fails in the code.
"""

import torch
from torch import Tensor

from baselines.text_prompts.context import START, ContextClassifier, ContextTexts, cross_entropy, of_classes
from baselines.text_prompts.coop import CoOp
from baselines.text_prompts.kgcoop import AnchoredContext
from cones.methods.classifier import ClassifierInputs, Recipe, Tune, choice
from cones.methods.recipes import steps_of, steps_per_epoch
from cones.models.dual_encoder import ImageFeatures, unit
from cones.models.losses import LossTerms
from cones.runtime.errors import ConesError

METHOD = {
    "name": "subpt",
    "classifier": "SubPT",
    "not_for_detectors": "its second training starts from the directions of a first one, and a detector's cell is"
    " trained once",
    "label": "SubPT",
    "block": "text_prompts",
    "has_vectors": False,
    "survey": {
        "paper": "TCSVT 2023, arXiv 2211.02219",
        "idea": "CoOp whose steps stay in the directions of its first epochs",
        "attaches": "text encoder, input; gradients",
        "trains": "16 vectors, trained twice",
        "quirk": "rank and epochs are published for each number of shots",
    },
}


class WatchedContext(ContextClassifier):
    """Stage 1. `path` (t, M w) holds the context after each epoch; buffers, so that an interrupted run keeps them."""

    def watched(self, epochs: int, steps_per_epoch: int) -> "WatchedContext":
        self.steps_per_epoch = steps_per_epoch
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64, device=self.context.device))
        self.register_buffer("path", self.context.new_zeros(epochs, self.context.numel()))
        return self

    @torch.no_grad()
    def look(self) -> None:
        """Before each step, and after the last."""
        epoch, place = divmod(int(self.steps), self.steps_per_epoch)
        if place == 0 and 0 < epoch <= len(self.path):
            self.path[epoch - 1] = self.context.flatten()
        self.steps += 1


class SubspaceContext(AnchoredContext):
    """Stage 2: `directions` (r, M w), orthonormal rows; `extra` are texts of names that are not classes."""

    def __init__(self, texts: ContextTexts, context: Tensor, scale: float, *, extra: ContextTexts | None, **given):
        super().__init__(texts, context, scale, **given)
        self.directions, self.extra = None, extra

    def projected(self, gradient: Tensor) -> Tensor:
        return (self.directions.T @ (self.directions @ gradient.flatten())).view_as(gradient)


class SubPT(CoOp):
    """Two trainings; `rank` None leaves the subspace out, and with it the first."""

    may_be_off = frozenset({"rank"})
    recipe = Recipe(
        optimiser="sgd",
        learning_rate=2e-3,
        epochs=200,
        options={**START, "epochs_seen": 50, "rank": 10, "extra_names": (), "extra_weight": 1.0, "form": "code"},
    )

    def with_context(self, inputs: ClassifierInputs, context: Tensor) -> SubspaceContext:
        own, vectors = self.options(inputs), context.shape[-2]
        names = own["extra_names"]
        anchors = unit(inputs.text([inputs.template.format(name) for name in names])) if names else context[:0]
        extra = ContextTexts(inputs.encoder, inputs.tokenizer, names, vectors=vectors) if names else None
        given = {"extra": extra, "anchors": anchors, "weight": own["extra_weight"]}
        return SubspaceContext(self.texts(inputs, vectors), context, inputs.logit_scale, **given)

    def loss_terms(self, classifier: ContextClassifier, images: ImageFeatures, labels: Tensor) -> LossTerms:
        terms = {"cross_entropy": cross_entropy(classifier(images), labels)}
        if isinstance(classifier, SubspaceContext) and classifier.extra is not None:
            distance = classifier.distance(classifier.extra(classifier.context))
            terms["extra_names"] = of_classes(classifier.weight * distance, labels)
        return terms

    def adjust_gradients(self, classifier: ContextClassifier, separate: dict[str, dict[str, Tensor]]) -> None:
        if isinstance(classifier, WatchedContext):
            classifier.look()
        elif classifier.directions is not None:
            classifier.context.grad = classifier.projected(classifier.context.grad)

    def fit(self, classifier: SubspaceContext, inputs: ClassifierInputs, tune: Tune) -> None:
        own, recipe, images = self.options(inputs), inputs.recipe, len(inputs.train)
        if own["rank"] is not None:
            each = steps_per_epoch(recipe, images)
            if steps_of(recipe, images) // each < own["epochs_seen"] or own["epochs_seen"] <= own["rank"]:
                raise ConesError(
                    "the subspace needs more epochs than it has directions, and as many as are trained at most",
                    where="SubPT: recipe.options",
                    expected=f"rank < epochs_seen <= {steps_of(recipe, images) // each}",
                    found=f"rank {own['rank']}, epochs_seen {own['epochs_seen']}",
                    next_step="change them, or train longer",
                )
            first = WatchedContext(classifier.texts, classifier.context.detach(), inputs.logit_scale)
            tune(first.watched(own["epochs_seen"], each))
            first.look()
            classifier.directions = principal_directions(first.path, own["rank"])
            if choice("form", own["form"], ("code", "paper")) == "paper":
                classifier.context.data.copy_(first.path[0].view_as(classifier.context))
        tune(classifier)


def principal_directions(path: Tensor, rank: int) -> Tensor:
    """Contexts (t, M w) -> (rank, M w), orthonormal: directions of the greatest variance over t, signs free."""
    centred = path.double() - path.double().mean(0)
    return torch.linalg.svd(centred, full_matrices=False).Vh[:rank].to(path.dtype)
