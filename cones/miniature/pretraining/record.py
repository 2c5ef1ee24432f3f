"""The record of a pretrained model, which ships beside its weights."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from cones.miniature.pretraining.curve import PretrainingRun
from cones.training.loop import TrainingLoop


def record_of(
    model: str, weights: Path, digest: str, trainer: TrainingLoop, run: PretrainingRun, recipe: object, **scores: Any
) -> dict[str, Any]:
    """What the weights are (file with its sha256 `digest`), by which recipe (a dataclass), how training went, and what
    the model scores. A curve of validation only where the recipe asks for one."""
    return {
        "model": model,
        "sha256": digest,
        "bytes": weights.stat().st_size,
        "parameters": sum(parameter.numel() for parameter in trainer.trained.values()),
        "recipe": asdict(recipe),
        "torch": torch.__version__,
        "minutes": round(run.seconds / 60, 1),
        "loss_curve": run.curve,
        **({"validation": run.validation} if run.validation else {}),
        **scores,
    }
