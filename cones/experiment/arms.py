"""What differs between the models of a suite, and between its arms: the named rows of the experiment."""

from typing import Any

from pydantic import Field, field_validator

from cones.methods.method import METHODS
from cones.methods.settings import LossGroup, StartStd
from cones.runtime.errors import closest
from cones.runtime.precision import Precision
from cones.runtime.strict import Strict


class Model(Strict):
    """What differs between models: learning rates, vectors per class, and any of the tuning settings."""

    learning_rate: dict[str, float] = Field(description="method -> base learning rate")
    tokens_per_class: int = Field(3, ge=1, description="N of the concept embeddings (paper: 3 for GLIP, 2 for UNINEXT)")
    start_std: dict[str, StartStd] = Field(
        default_factory=dict, description="method -> spread of its random start, if not the method's own"
    )
    initial_seed: int | None = Field(
        None, description="start from random weights of this seed: no checkpoint is needed"
    )
    precision: Precision | None = Field(
        None, description="in which a GPU trains, scaled in float16; default: that of the model's family"
    )
    scoring_precision: Precision | None = Field(
        None, description="in which a GPU validates and detects; default: that of the model's family"
    )
    test_short_side: int | None = Field(
        None, ge=1, description="short side of pictures in validation and at test, pixels; default: the model's own"
    )
    tuning: dict[str, Any] = Field(default_factory=dict, description="overrides of `tuning` for this model")

    @field_validator("learning_rate", "start_std")
    @classmethod
    def _known_methods(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in value:
            if name not in METHODS:
                raise ValueError(f'unknown method "{name}"; {closest(name, METHODS)}')
        return value

    @field_validator("start_std")
    @classmethod
    def _starts_at_random(cls, value: dict[str, StartStd]) -> dict[str, StartStd]:
        for name in value:
            check_start(name)
        return value


def check_start(method: str) -> None:
    """ValueError for a method that has no random start."""
    if METHODS[method].start_std is None:
        raise ValueError(f'start_std: the method "{method}" has no vectors that start at random')


class Arm(Strict):
    """A named row of the experiment: a method plus overrides. An arm named like a method is that method."""

    method: str | None = None
    tokens_per_class: int | None = Field(None, ge=1)
    start_std: StartStd | None = Field(
        None, description="spread of the vectors' random start: a number, word or output (of the text encoder)"
    )
    learning_rate: float | None = Field(None, gt=0)
    stage1: str = Field("cones", description="the arm whose concept embeddings stage 2 fixes")
    loss_groups: tuple[LossGroup, ...] | None = Field(
        None, min_length=1, description="the losses that train, where the model's can be told apart; default: all"
    )
    projections: str | None = Field(
        None, description="what linear probing trains, where the model's family names more than one choice"
    )
    tuned_arm: str | None = Field(
        None, description="the arm whose tuned weights this one mixes with their start (WiSE-FT); default: the method's"
    )
    options: dict[str, Any] = Field(default_factory=dict, description="the method's own numbers by name, such as alpha")
    matched_to: str | None = Field(
        None, description="the arm whose number of trained values this one is given, dataset by dataset, by its vectors"
    )
    tuning: dict[str, Any] = Field(default_factory=dict, description="overrides of `tuning` for this arm")
