"""Learning rates as functions of the step's number."""

from math import cos, pi
from typing import Protocol


class CosineSchedule(Protocol):
    """The settings of a learning rate with warm-up and cosine decay; `final_rate` is a share of the peak."""

    learning_rate: float
    warmup_steps: int
    final_rate: float


def warmup_with_cosine(recipe: CosineSchedule, step: int, steps: int) -> float:
    """Linear rise over `warmup_steps`, then half a cosine down to `final_rate` of the peak."""
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    along = (step - recipe.warmup_steps) / max(steps - recipe.warmup_steps, 1)
    return recipe.learning_rate * (recipe.final_rate + (1 - recipe.final_rate) * (1 + cos(pi * along)) / 2)
