"""The printed names of the arms of generation and of the sets of class vectors."""

from cones.methods.method import METHODS

NAMES = {"zero_shot": "Class name", "cones": "ConES"}  # here there are no stages
ISOLATED_NAMES = "zero_shot_isolated"


def arm_label(arm: str, method: str) -> str:
    """The name of an arm in tables and figures of generation."""
    return NAMES.get(method, METHODS[method].label) if arm == method else arm


def vectors_label(vectors: str) -> str:
    """The name of a set of class vectors in tables and panels."""
    if vectors == ISOLATED_NAMES:
        return "Zero-shot, each name alone"
    return METHODS[vectors].label if vectors in METHODS else vectors
