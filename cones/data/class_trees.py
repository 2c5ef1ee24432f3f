"""Trees of classes as the registry writes them: wider classes by name, each with those below it.

A node holds a mapping of further nodes, or a list of classes, or, if it is a class itself, nothing:
`{living: {animals: [cat, dog], moss: }, car: }`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any


def fault_of(tree: Any, classes: Sequence[str], text_of: Callable[[str], str] = str) -> str | None:
    """None, or the first reason why a tree does not fit: its leaves are exactly the classes, each once, every wider
    class has something below it, and no two nodes are said alike. Without `classes` the leaves are not compared."""
    try:
        nodes = list(_walk(tree))
    except TypeError as error:
        return str(error)
    leaves = [name for name, is_class in nodes if is_class]
    if twice := [name for name, count in Counter(leaves).items() if count > 1]:
        return f"the class {twice[0]} stands in it twice"
    if classes:
        if missing := [name for name in classes if name not in leaves]:
            return f"the class {missing[0]} is missing"
        if unknown := [name for name in leaves if name not in classes]:
            return f"{unknown[0]} is no class, and nothing is below it"
    said = Counter(text_of(name) if is_class else name for name, is_class in nodes)
    if alike := [name for name, count in said.items() if count > 1]:
        return f"two nodes are named {alike[0]}"
    return None


def tree_of_texts(tree: Any, text_of: Callable[[str], str]) -> dict[str, Any]:
    """The tree with each class as texts name it: nested mappings, in which a class has None."""
    if isinstance(tree, list):
        return {text_of(name): None for name in tree}
    return {
        text_of(name) if not below else name: tree_of_texts(below, text_of) if below else None
        for name, below in tree.items()
    }


def _walk(tree: Any, where: str = "the tree") -> Iterator[tuple[str, bool]]:
    """(name, whether it is a class), node by node. TypeError for what is no tree."""
    if not isinstance(tree, dict | list) or not tree:
        raise TypeError(f"{where} needs a mapping of nodes or a list of classes, found {tree!r}")
    for name in tree:
        below = tree[name] if isinstance(tree, dict) else None
        if not isinstance(name, str) or not name.strip():
            raise TypeError(f"{where} has a node without a name: {name!r}")
        yield name, below is None
        if below is not None:
            yield from _walk(below, name)
