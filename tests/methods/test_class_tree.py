"""Trees of classes: the official tables and cuts, and that any cut divides the classes among its nodes."""

import pytest
import torch

from cones.methods.class_tree import ROOT, Cut, Hierarchy, consistent, mean_cut_accuracy
from cones.runtime.errors import ConesError
from tests.golden.reading import GoldenFile

CLASSES = ("cat", "dog", "toy car", "boat", "white blood cell")
TREE = {"animals": {"cat": None, "dog": None}, "vehicles": {"toy car": None, "boat": None}, "white blood cell": None}
DEEP_CLASSES = ("cat", "dog", "bird", *CLASSES[2:])
DEEP = {"animals": {"pets": {"cat": None, "dog": None}, "bird": None}, **{key: TREE[key] for key in list(TREE)[1:]}}


def codewords(tree: Hierarchy) -> torch.Tensor:
    """Which leaves lie below each node, or are it."""
    rows = [[int(node in tree.path(leaf)) for leaf in tree.leaves] for node in range(len(tree.names))]
    return torch.tensor(rows)


def masks(tree: Hierarchy) -> torch.Tensor:
    """Official table: of each inner node, 0 for itself and those above it, 1 for those below it, -1 for others."""
    rows = []
    for inner in tree.inner:
        above = tree.path(inner)
        rows.append([0 if node in above else 1 if inner in tree.path(node) else -1 for node in range(len(tree.names))])
    return torch.tensor(rows)


def dependence(tree: Hierarchy) -> torch.Tensor:
    return torch.tensor([[int(other in tree.path(inner)) for other in tree.inner] for inner in tree.inner])


def tables_hold(golden: GoldenFile, prefix: str, tree: Hierarchy) -> None:
    assert golden.texts(f"{prefix}/node_names") == list(tree.names)
    inner = ["root", *(tree.names[node] for node in tree.inner[1:])]
    assert golden.texts(f"{prefix}/internal_names") == inner
    golden.compare(f"{prefix}/codewords", codewords(tree))
    golden.compare(f"{prefix}/masks", masks(tree))
    golden.compare(f"{prefix}/dependence", dependence(tree))


def cut_mask(tree: Hierarchy, cut: Cut) -> list[int]:
    return [int(node in cut.nodes) for node in range(len(tree.names))]


def deep_tree_holds(golden: GoldenFile) -> None:
    tree = Hierarchy.of(DEEP, DEEP_CLASSES)
    tables_hold(golden, "deep", tree)
    cuts = [tree.cut(draw) for draw in golden["deep/draws"].tolist()]
    golden.compare("deep/cut_masks", torch.tensor([cut_mask(tree, cut) for cut in cuts]))
    golden.compare("deep/target_of_leaf", torch.tensor([cut.of_leaf for cut in cuts]))


def test_every_cut_divides_the_leaves_among_its_nodes():
    torch.manual_seed(0)
    for tree in (Hierarchy.of(TREE, CLASSES), Hierarchy.of(DEEP, DEEP_CLASSES)):
        below, seen = codewords(tree), set()
        for _ in range(60):
            cut = tree.drawn_cut(0.5)
            seen.add(tuple(cut.nodes))
            assert below[cut.nodes].sum(0).tolist() == [1] * len(tree.leaves)
            assert below[cut.nodes].argmax(0).tolist() == cut.of_leaf
        assert len(seen) > 3
        assert tree.drawn_cut(0.0).nodes == list(tree.leaves)
        assert tree.drawn_cut(1.0).nodes == tree.children(ROOT)


def test_a_tree_is_cut_down_to_some_classes_and_must_have_them_all():
    small = Hierarchy.of(DEEP, ("bird", "cat", "boat"))
    assert small.names == ("animals", "pets", "cat", "bird", "vehicles", "boat")
    assert small.parents == (-1, 0, 1, 0, -1, 4) and small.leaves == (2, 3, 5)
    for classes, odd in ((("cat", "horse"), "horse"), (("cat", "animals"), "animals")):
        with pytest.raises(ConesError, match=f"does not fit the classes; expected .* found {odd}"):
            Hierarchy.of(TREE, classes)
    with pytest.raises(ConesError, match="found cat"):
        Hierarchy.of({"animals": {"cat": None}, "pets": {"cat": None}}, ("cat",))


def test_accuracies_know_the_way_to_a_leaf():
    tree = Hierarchy.of(TREE, CLASSES)  # animals, cat, dog, vehicles, toy car, boat, white blood cell
    logits = torch.tensor(
        [
            [3.0, 5, 1, 2, 0, 0, 0],  # a cat, and an animal
            [1.0, 5, 1, 2, 0, 0, 0],  # a cat that is taken for a vehicle
            [3.0, 1, 2, 2, 9, 0, 0],  # a toy car taken for an animal
            [0.0, 0, 0, 1, 0, 0, 9],  # a white blood cell
        ]
    )
    leaves = torch.tensor([0, 0, 2, 4])
    assert consistent(tree, logits, leaves).tolist() == [True, False, False, True]
    coarse, fine = tree.cut([1, 0, 0]), tree.cut([1, 1, 1])
    assert mean_cut_accuracy(tree, logits, leaves, [coarse]) == 0.5
    assert mean_cut_accuracy(tree, logits, leaves, [coarse, fine]) == 0.75
