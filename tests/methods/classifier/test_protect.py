"""ProTeCt on CoOp equals the official code: losses of given cuts, three steps, its measures."""

import pytest
import torch

from baselines.text_prompts import protect
from baselines.text_prompts.protect import ProTeCt, TextsOfNodes, among_children
from cones.methods import class_tree
from cones.methods.class_tree import Hierarchy, consistent
from cones.methods.first_best import right_answers
from cones.models.dual_encoder import ImageFeatures
from cones.models.losses import normalised
from cones.runtime.errors import ConesError
from tests.golden.reading import GoldenFile
from tests.methods.classifier.golden_words import GoldenTokenizer, golden_vectors, prompt_inputs, with_options
from tests.methods.classifier.inputs_of import take_steps, tiny_images
from tests.methods.test_class_tree import CLASSES, TREE, cut_mask, deep_tree_holds, tables_hold
from tests.some_fast import first_two_fast

LABELS, TEST_LABELS = torch.tensor([0, 1, 2, 3, 4, 0, 1, 2]), torch.tensor([0, 1, 2, 3, 4, 0])


def given_of(golden: GoldenFile, **options):
    words = GoldenTokenizer(golden.texts("input/node_names"), golden["input/tokens_nodes"], before=16)
    recipe = with_options(ProTeCt.recipe, **options)
    return prompt_inputs(words, names=CLASSES, labels=LABELS, tree=TREE, recipe=recipe)


def started(golden: GoldenFile, **options) -> TextsOfNodes:
    classifier = ProTeCt().classifier(given_of(golden, **options))
    classifier.context.data.copy_(golden_vectors("protect/ctx", (16, 128), 0.2))
    return classifier


def draws(patch, rows: list[list[int]]) -> None:
    """What is kept at each step."""
    left = [list(row) for row in rows]
    patch.setattr(Hierarchy, "drawn_cut", lambda self, drop: self.cut(left.pop(0)))


def tree_holds(golden: GoldenFile, tree: Hierarchy) -> None:
    tables_hold(golden, "input", tree)
    golden.compare("input/leaf_rows", torch.tensor(tree.leaves))
    below = torch.tensor([tree.places_below(node) for node in tree.inner])
    golden.compare("input/sublabels", below.T)
    children = [tree.children(node) for node in tree.inner]
    golden.compare("input/children_rows", torch.tensor([[*row, -1, -1][:3] for row in children]))
    for number, draw in enumerate(golden["input/draws"].tolist()):
        cut = tree.cut(draw)
        golden.compare(f"cut/mask_draw{number}", torch.tensor(cut_mask(tree, cut)))
        golden.compare(f"cut/target_of_leaf_draw{number}", torch.tensor(cut.of_leaf))


def start_holds(golden: GoldenFile, patch) -> None:
    classifier, train, test = (
        started(golden),
        *(ImageFeatures(tiny_images(*one)) for one in (("train", 8), ("test", 6))),
    )
    golden.compare("mid/image_features_train", train.pooled)
    golden.compare("mid/image_features_test", test.pooled)
    golden.compare("mid/text_features_nodes", classifier.class_texts())
    tree_holds(golden, classifier.tree)
    golden.compare("start/logits_leaves_train", classifier(train))
    golden.compare("start/logits_leaves_test", classifier(test))
    for number, node in enumerate(classifier.tree.inner):
        golden.compare(f"start/logits_node{number}_test", classifier.nodes(test)[:, classifier.tree.children(node)])
    nodes = among_children(classifier.tree, classifier.nodes(train), LABELS)
    golden.compare("loss/per_node", torch.stack(list(nodes.values())))
    for number, draw in enumerate(golden["input/draws"].tolist()):
        draws(patch, [draw])
        terms = normalised(ProTeCt().loss_terms(classifier, train, LABELS))
        golden.compare(f"loss/cut_draw{number}", terms["cut"], within=1e-5)
        golden.compare("loss/node", terms["nodes"] / 0.5, within=1e-5)
        golden.compare(f"loss/total_draw{number}", sum(terms.values()), within=1e-5)
        gradient = torch.autograd.grad(sum(terms.values()), classifier.context)[0]
        golden.compare(f"grad/ctx_draw{number}", gradient, within=1e-3)


def steps_hold(golden: GoldenFile, patch, weight: float) -> None:
    method, key = ProTeCt(), f"steps_lambda{weight}"
    classifier, train = started(golden, weight=weight), ImageFeatures(tiny_images("train", 8))
    test, start = ImageFeatures(tiny_images("test", 6)), classifier.context.detach().clone()
    draws(patch, golden["input/draws"][:3].tolist())
    steps = take_steps(method, classifier, train, LABELS, method.recipe)
    torch.testing.assert_close(torch.tensor(steps.losses), golden[f"{key}/losses"], rtol=6e-5, atol=0)
    golden.compare(f"{key}/ctx_3_minus_start", classifier.context - start, within=2e-3)
    golden.compare(f"{key}/logits_leaves_test_3", classifier(test))
    if weight == 0.5:
        measures_hold(golden, classifier, test)


def measures_hold(golden: GoldenFile, classifier: TextsOfNodes, test: ImageFeatures) -> None:
    tree, logits = classifier.tree, classifier.nodes(test)
    right = right_answers(logits[:, list(tree.leaves)], TEST_LABELS)
    golden.compare("eval/leaf_accuracy", 100 * right / 6, within=1e-6)
    golden.compare("eval/consistency", 100 * consistent(tree, logits, TEST_LABELS).float().mean(), within=1e-6)
    found = []
    for node in tree.inner:
        place = torch.tensor(tree.places_below(node))[TEST_LABELS]
        below = place >= 0
        right = right_answers(logits[below][:, tree.children(node)], place[below])
        found.append(100 * right / below.sum())
    golden.compare("eval/node_accuracy", torch.stack(found))
    nodes = torch.stack(list(among_children(tree, logits, TEST_LABELS).values())).mean()
    golden.compare("eval/loss_node", nodes, within=1e-5)
    leaves = torch.nn.functional.cross_entropy(logits[:, list(tree.leaves)], TEST_LABELS)
    golden.compare("eval/loss", leaves + 0.5 * nodes, within=1e-5)


def numbers_hold(patch) -> None:
    with GoldenFile("protect") as golden:
        assert golden["input/labels_train"].tolist() == LABELS.tolist()
        assert golden["input/labels_test"].tolist() == TEST_LABELS.tolist()
        deep_tree_holds(golden)
        start_holds(golden, patch)
        steps_hold(golden, patch, 0.5)
        steps_hold(golden, patch, 1.0)


def test_numbers_are_those_of_the_official_code(monkeypatch):
    numbers_hold(monkeypatch)


def added_up(tree, logits, leaves):
    found = among_children(tree, logits, leaves)
    return {node: len(found) * value for node, value in found.items()}


def by_images(tree, logits, leaves):
    """Each node weighs as much as it has images."""
    found = among_children(tree, logits, leaves)
    counts = {node: (torch.tensor(tree.places_below(node))[leaves] >= 0).sum() for node in found}
    return {node: value * counts[node] * len(found) / sum(counts.values()) for node, value in found.items()}


def cut_at_the_root_too(self, kept):
    return CUT(self, [1, *[0] * (len(kept) - 1)] if not kept[0] else [1, *[1] * (len(kept) - 1)])


CUT = Hierarchy.cut


def with_recipe(**changes):
    return lambda patch: patch.setattr(ProTeCt, "recipe", ProTeCt.recipe.model_copy(update=changes))


MISTAKES = {
    "nodes are added up": lambda patch: patch.setattr(protect, "among_children", added_up),
    "nodes weigh as many images as they have": lambda patch: patch.setattr(protect, "among_children", by_images),
    "no node is dropped": lambda patch: patch.setattr(class_tree.Hierarchy, "cut", cut_at_the_root_too),
    "momentum": with_recipe(momentum=0.9),
    "decay": with_recipe(weight_decay=5e-4),
}


@pytest.mark.parametrize("mistake", first_two_fast(MISTAKES))
def test_a_mistake_is_seen(mistake, monkeypatch):
    MISTAKES[mistake](monkeypatch)
    with pytest.raises(AssertionError):
        numbers_hold(monkeypatch)


def test_classes_stand_in_any_order_and_other_classes_need_no_tree():
    given = given_of(GoldenFile("protect"))
    classifier, images = ProTeCt().classifier(given), ImageFeatures(tiny_images("test", 6))
    whole = classifier(images)
    order = [3, 0, 4, 2, 1]
    given.names = tuple(CLASSES[place] for place in order)
    other = ProTeCt().for_classes(classifier, given)
    torch.testing.assert_close(other(images), whole[:, order])
    torch.manual_seed(0)
    labels = torch.tensor(order).argsort()[LABELS]
    train = given.train.features
    first = ProTeCt().loss_terms(classifier, train, LABELS)
    torch.manual_seed(0)
    for name, term in ProTeCt().loss_terms(other, train, labels).items():
        torch.testing.assert_close(term.sum, first[name].sum)
    given.tree = None
    torch.testing.assert_close(ProTeCt().for_classes(classifier, given)(images), whole[:, order])
    with pytest.raises(ConesError, match="ProTeCt needs a tree of the classes"):
        ProTeCt().classifier(given)
