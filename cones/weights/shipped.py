"""The pretrained models that ship with the project: `weights/<model>.safetensors` and its record beside it.

The record holds the sha256, the recipe, the loss curve and the zero-shot scores. This module imports nothing heavy: the
workflow asks it while it is parsed.
"""

from pathlib import Path

FOLDER = Path(__file__).parent.parent / "miniature" / "weights"


def shipped(model: str) -> tuple[Path, Path] | None:
    """(weights, record) of a model that the project has pretrained, or None."""
    weights, record = FOLDER / f"{model}.safetensors", FOLDER / f"{model}.json"
    return (weights, record) if record.exists() else None
