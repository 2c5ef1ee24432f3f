"""Trees of classes in the registry: what fits, and the first fault of what does not."""

import pytest

from cones.data.class_trees import fault_of, tree_of_texts

CLASSES = ["cat", "dog", "red_car"]


def said(name):
    return name.replace("_", " ")


def test_lists_mappings_and_single_classes_are_one_tree():
    tree = {"animals": ["cat", "dog"], "red_car": None}
    assert fault_of(tree, CLASSES, said) is None
    assert tree_of_texts(tree, said) == {"animals": {"cat": None, "dog": None}, "red car": None}
    deep = {"things": {"animals": {"cat": None, "dog": None}, "red_car": None}}
    assert fault_of(deep, CLASSES, said) is None
    assert tree_of_texts(deep, said) == {"things": {"animals": {"cat": None, "dog": None}, "red car": None}}


@pytest.mark.parametrize(
    ("tree", "fault"),
    [
        ({"animals": ["cat", "dog"]}, "the class red_car is missing"),
        ({"animals": ["cat", "dog", "cat"], "red_car": None}, "the class cat stands in it twice"),
        ({"animals": ["cat", "dog", "cow"], "red_car": None}, "cow is no class"),
        ({"red car": ["cat", "dog"], "red_car": None}, "two nodes are named red car"),
        ({"animals": ["cat", "dog"], "red_car": None, "empty": []}, "empty needs a mapping"),
        ({"animals": "cat"}, "animals needs a mapping"),
        ({"animals": [["cat"], "dog"], "red_car": None}, "a node without a name"),
    ],
)
def test_the_first_fault_is_named(tree, fault):
    assert fault in fault_of(tree, CLASSES, said)


def test_without_classes_only_the_shape_is_looked_at():
    assert fault_of({"animals": ["cat", "dog"]}, []) is None
