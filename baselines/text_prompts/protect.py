"""ProTeCt on CoOp: a context that is right at every level of a class tree (CVPR 2024, arXiv 2306.02240).

Official code: gina9726/ProTeCt 2aa2d7b, engine.py, models/treecut_generator.py, models/coop.py, configs. Every node has
a text with the same M = 16 random vectors. Two losses: cross-entropy over a random cut of the tree (each inner node
dropped with probability 0.1, the root never), and, weighted by 0.5 (1 on ImageNet), the mean over inner nodes with an
image in the batch of the cross-entropy among the node's children. SGD 0.02 without momentum and decay, batch 128, 200
epochs, one warm-up epoch at 1e-3. Answers are among the leaves; `consistent` (HCA) and `mean_cut_accuracy` (MTA) are
the paper's other two measures.

Code and paper: the code's scheduler moves at every batch, so that warm-up lasts one batch and the cosine falls and
rises with a period of 400 batches. Here it moves every epoch, as the numbers in its settings mean. The tree is
that of the data set's registry entry.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.text_prompts.context import START, ContextClassifier, ContextTexts, cross_entropy, of_classes
from baselines.text_prompts.coop import CoOp
from cones.methods.class_tree import Hierarchy
from cones.methods.classifier import ClassifierInputs, Recipe
from cones.models.dual_encoder import ImageFeatures
from cones.models.losses import LossTerms
from cones.runtime.errors import ConesError

METHOD = {
    "name": "protect",
    "classifier": "ProTeCt",
    "not_for_detectors": "asks for the right class at every node of a class tree; a caption says the leaves alone,"
    " and sets of one class have no tree",
    "label": "ProTeCt",
    "block": "text_prompts",
    "has_vectors": False,
    "survey": {
        "paper": "CVPR 2024, arXiv 2306.02240",
        "idea": "a context that is right at every level of a tree of the classes",
        "attaches": "text encoder, input",
        "trains": "16 vectors, shared by all nodes",
        "quirk": "needs a tree; the code moves its schedule at every batch",
    },
}


class TextsOfNodes(ContextClassifier):
    """Texts of all nodes of a tree; answers are classes, in the order of `names`."""

    def __init__(self, texts: ContextTexts, context: Tensor, scale: float, *, tree: Hierarchy, names: list[str]):
        super().__init__(texts, context, scale)
        self.tree = tree
        leaves = [tree.names[leaf] for leaf in tree.leaves]
        places = torch.tensor([leaves.index(name) for name in names], device=context.device)
        self.register_buffer("leaf_of_class", places, persistent=False)  # place among the tree's leaves

    def nodes(self, images: ImageFeatures) -> Tensor:
        """(B, nodes)."""
        return super().forward(images)

    def forward(self, images: ImageFeatures) -> Tensor:
        return self.nodes(images)[:, list(self.tree.leaves)][:, self.leaf_of_class]


class ProTeCt(CoOp):
    """The context trains; other classes need no tree."""

    needs_tree = True
    recipe = Recipe(
        optimiser="sgd",
        learning_rate=0.02,
        momentum=0.0,
        weight_decay=0.0,
        epochs=200,
        batch_size=128,
        warmup_rate=1e-3,
        options={**START, "weight": 0.5, "drop": 0.1},
    )

    def with_context(self, inputs: ClassifierInputs, context: Tensor) -> ContextClassifier:
        if inputs.tree is None and isinstance(context, torch.nn.Parameter):
            return super().with_context(inputs, context)
        if inputs.tree is None:
            raise ConesError(
                "ProTeCt needs a tree of the classes",
                where=inputs.dataset,
                next_step="give the data set a tree, or take the method out of the arms",
            )
        tree = Hierarchy.of(inputs.tree, inputs.names)
        texts = ContextTexts(inputs.encoder, inputs.tokenizer, tree.names, vectors=len(context))
        classifier = TextsOfNodes(texts, context, inputs.logit_scale, tree=tree, names=list(inputs.names))
        classifier.drop, classifier.weight = (self.options(inputs)[name] for name in ("drop", "weight"))
        return classifier

    def loss_terms(self, classifier: TextsOfNodes, images: ImageFeatures, labels: Tensor) -> LossTerms:
        logits, leaves = classifier.nodes(images), classifier.leaf_of_class[labels]
        cut = classifier.tree.drawn_cut(classifier.drop)
        targets = torch.tensor(cut.of_leaf, device=labels.device)[leaves]
        nodes = among_children(classifier.tree, logits, leaves)
        return {
            "cut": cross_entropy(logits[:, cut.nodes], targets),
            "nodes": of_classes(classifier.weight * torch.stack(list(nodes.values())).mean(), labels),
        }


def among_children(tree: Hierarchy, logits: Tensor, leaves: Tensor) -> dict[int, Tensor]:
    """The mean cross-entropy among the children of each inner node that has an image below it; (B, nodes), (B,)."""
    found = {}
    for node in tree.inner:
        place = torch.tensor(tree.places_below(node), device=leaves.device)[leaves]
        if (below := place >= 0).any():
            found[node] = F.cross_entropy(logits[below][:, tree.children(node)], place[below])
    return found
