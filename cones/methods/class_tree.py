"""A tree over classes: its nodes, cuts through it, and accuracies that know it (ProTeCt, arXiv 2306.02240, section 3).

Nodes are numbered in a depth-first walk in which a parent comes first. The root is no node a text could name: it is -1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from torch import Tensor

from cones.methods.classifier import ClassTree
from cones.runtime.errors import ConesError

ROOT = -1


class Cut(NamedTuple):
    """Nodes of which exactly one stands above each leaf, or is it; and which of them that is, leaf by leaf."""

    nodes: list[int]
    of_leaf: list[int]


@dataclass(frozen=True)
class Hierarchy:
    """names    of the nodes
    parents  node above each, ROOT at the top
    leaves   nodes that are classes
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    leaves: tuple[int, ...]

    @staticmethod
    def of(tree: ClassTree, classes: Sequence[str]) -> "Hierarchy":
        """The part of a tree above some classes. ConesError if it lacks one or has a name twice."""
        nodes: list[tuple[str, int, bool]] = []
        _walk(tree, set(classes), ROOT, nodes)
        names, parents = [name for name, _, _ in nodes], [parent for _, parent, _ in nodes]
        leaves = [number for number, (_, _, is_leaf) in enumerate(nodes) if is_leaf]
        found = [names[leaf] for leaf in leaves]
        if sorted(found) != sorted(classes) or len(set(names)) < len(names):
            odd = sorted(set(classes) - set(found)) or sorted({name for name in names if names.count(name) > 1})
            raise ConesError(
                "the tree of classes does not fit the classes",
                where="tree",
                expected="each class once, as a leaf, and no name twice",
                found=", ".join(odd),
                next_step="correct the tree of the data set",
            )
        return Hierarchy(tuple(names), tuple(parents), tuple(leaves))

    @cached_property
    def inner(self) -> list[int]:
        """Nodes with children, ROOT first."""
        return [ROOT, *(node for node in range(len(self.names)) if node not in self.leaves)]

    def children(self, node: int) -> list[int]:
        return [child for child, parent in enumerate(self.parents) if parent == node]

    def path(self, node: int) -> list[int]:
        """From ROOT to the node, both included."""
        return [ROOT] if node == ROOT else [*self.path(self.parents[node]), node]

    def places_below(self, node: int) -> list[int]:
        """Of each leaf the place, among the node's children, of the one above it (or itself); -1 outside."""
        paths, children = [self.path(leaf) for leaf in self.leaves], self.children(node)
        return [next((place for place, child in enumerate(children) if child in path), -1) for path in paths]

    def cut(self, kept: Sequence[bool]) -> Cut:
        """`kept` of each inner node; ROOT always is. A node counts as kept if all above it are; one that is not stands
        for the classes below it."""
        is_kept = dict(zip(self.inner, map(bool, kept), strict=True)) | {ROOT: True}

        def passed(node: int) -> bool:
            return all(is_kept.get(one, False) for one in self.path(node))

        nodes = [node for node, parent in enumerate(self.parents) if passed(parent) and not passed(node)]
        return Cut(
            nodes, [next(nodes.index(node) for node in self.path(leaf) if node in nodes) for leaf in self.leaves]
        )

    def drawn_cut(self, drop: float, random: torch.Generator | None = None) -> Cut:
        """Each inner node is dropped with probability `drop`; by PyTorch's own generator where none is given."""
        return self.cut((torch.rand(len(self.inner), generator=random) >= drop).tolist())


def _walk(tree: ClassTree, classes: set[str], parent: int, nodes: list[tuple[str, int, bool]]) -> None:
    """Append (name, parent, whether it is a class) in order; nodes above none of the classes are left out."""
    for name, below in tree.items():
        if below is None:
            if name in classes:
                nodes.append((name, parent, True))
        elif _has_a_class(below, classes):
            nodes.append((name, parent, False))
            _walk(below, classes, len(nodes) - 1, nodes)


def _has_a_class(tree: ClassTree, classes: set[str]) -> bool:
    return any(name in classes if below is None else _has_a_class(below, classes) for name, below in tree.items())


def consistent(tree: Hierarchy, logits: Tensor, leaves: Tensor) -> Tensor:
    """HCA: for which images the leaf is right and so is each choice among children on the way to it.

    logits (B, nodes), leaves (B,) places of the true ones among `tree.leaves` -> (B,) bool
    """
    right = logits[:, list(tree.leaves)].argmax(1) == leaves
    for node in tree.inner:
        place = torch.tensor(tree.places_below(node), device=leaves.device)[leaves]
        right &= (place < 0) | (logits[:, tree.children(node)].argmax(1) == place)
    return right


def mean_cut_accuracy(tree: Hierarchy, logits: Tensor, leaves: Tensor, cuts: Sequence[Cut]) -> float:
    """MTA: the mean over cuts of the share of images whose node of the cut is right."""
    found = []
    for cut in cuts:
        target = torch.tensor(cut.of_leaf, device=leaves.device)[leaves]
        found.append((logits[:, cut.nodes].argmax(1) == target).float().mean())
    return torch.stack(found).mean().item()
