"""How tables and figures call an arm of generation, and a set of class vectors."""

from cones.methods.method import METHODS

NAMES = {"zero_shot": "Class name", "cones": "ConES"}  # here there are no stages
ISOLATED_NAMES = "zero_shot_isolated"


def arm_label(arm: str, method: str) -> str:
    """How tables and figures of generation print an arm."""
    return NAMES.get(method, METHODS[method].label) if arm == method else arm


def vectors_label(vectors: str) -> str:
    """How tables and panels call a set of vectors."""
    if vectors == ISOLATED_NAMES:
        return "Zero-shot, each name alone"
    return METHODS[vectors].label if vectors in METHODS else vectors
