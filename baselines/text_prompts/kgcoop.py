"""KgCoOp: CoOp whose class texts are held near the hand-written ones (CVPR 2023, arXiv 2303.13283).

Official code: htyao89/KgCoOp c43ccc3, KgCoOp/trainers/kgcoop.py, train.py, configs/trainers/KgCoOp, scripts. Loss:
cross-entropy + W (1 - mean over classes of cos(learned text, text in the set's template)). M = 4, always started from
"a photo of a"; W = 8 (scripts; 1 in train.py), SGD 0.002, batch 128, 100 epochs.

Code and paper (`form`): the paper writes the mean of squared distances with weight 8, which is twice the code's term.
Left out: meta-net, bias vector and adapter, which the code declares and never trains; its list of templates, which is
here the set's own.
"""

from torch import Tensor
from torch.nn import functional as F

from baselines.text_prompts.context import OPTIONS, WORDS, ContextClassifier
from baselines.text_prompts.coop import CoOp
from cones.methods.classifier import ClassifierInputs, Recipe, choice
from cones.models.dual_encoder import ImageFeatures, unit
from cones.models.losses import LossTerm, LossTerms

METHOD = {
    "name": "kgcoop",
    "classifier": "KgCoOp",
    "label": "KgCoOp",
    "block": "text_prompts",
    "has_vectors": False,
}


class AnchoredContext(ContextClassifier):
    """A context whose class texts have anchors (K, d), unit; `weight` is that of the code's term."""

    def anchored(self, anchors: Tensor, weight: float) -> "AnchoredContext":
        self.register_buffer("anchors", anchors, persistent=False)
        self.weight = weight
        return self

    def distance(self) -> Tensor:
        """Mean over the classes of 1 - cos(learned text, anchor)."""
        return (1 - F.cosine_similarity(self.class_texts(), self.anchors, dim=-1)).mean()


class KgCoOp(CoOp):
    """With weight 0 it is CoOp."""

    recipe = Recipe(
        optimiser="sgd",
        learning_rate=2e-3,
        epochs=100,
        batch_size=128,
        options={**OPTIONS, "words": WORDS, "weight": 8.0, "form": "code"},
    )
