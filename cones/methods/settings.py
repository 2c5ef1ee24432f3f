"""The settings of a cell: the tuning budget and protocol all methods share, and its method's; a classifier's recipe."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from cones.runtime.errors import ConesError, closest
from cones.runtime.precision import Precision
from cones.runtime.strict import Strict

LossGroup = Literal["classification", "box", "mask"]
StartStd = Annotated[float, Field(ge=0, allow_inf_nan=False)] | Literal["word", "output"]
"""Standard deviation of vectors that start at random: a number; `word`, that of the text encoder's word embeddings, its
input; or `output`, that of the class names' states, its output."""


class Plateau(Strict):
    """Reduce the learning rate when validation AP stops rising (docs/spec/glip.md 10)."""

    factor: float = Field(0.1, gt=0, lt=1, description="learning rate is multiplied by this")
    patience: int = Field(3, ge=0, description="evaluations without a rise that are tolerated")
    min_lr: float = Field(1e-6, ge=0, description="never below this")
    threshold: float = Field(1e-4, ge=0, description="a rise counts if relative to the best it exceeds this")


class Tuning(Strict):
    """The budget and protocol of every tuned method; the defaults are GLIP's fine-tuning (docs/spec/glip.md 10)."""

    max_epochs: int = Field(200, ge=0, description="passes over the (copied) training set at most")
    max_steps: int | None = Field(
        None, ge=1, description="optimiser steps at most, over all epochs; the epoch they end in is validated too"
    )
    copies: int = Field(1, ge=1, description="times each training image is listed per epoch")
    batch_size: int = Field(4, ge=1, description="images per optimiser step, over all micro-batches")
    micro_batch: int = Field(4, ge=1, description="images per forward pass at most; does not change the numbers")
    weight_decay: float = Field(0.05, ge=0)
    clip_norm: float = Field(1.0, gt=0, description="gradient norm over all trained parameters")
    bias_lr_factor: float = Field(2.0, gt=0, description='for parameters with "bias" in their name')
    bias_decay: bool = Field(False, description="whether these decay like the others")
    lr_factors: dict[str, float] = Field(
        {".text_encoder.": 0.1},
        description="what a parameter's name contains -> factor of its learning rate; the first that fits (GLIP: 1e-5 "
        "beside 1e-4 for the text encoder)",
    )
    warmup_steps: int = Field(0, ge=0, description="linear rise of the learning rate")
    plateau: Plateau = Plateau()
    decay_at: float | None = Field(
        None, gt=0, lt=1, description="share of max_epochs after which the plateau's factor applies once, instead of it"
    )
    early_stop: int = Field(8, ge=1, description="evaluations strictly below the best before stopping")
    selection: Literal["best", "last"] = Field(
        "best", description="the epoch that counts; with last, validation decides nothing, early stop included"
    )
    flip: float = Field(0.5, ge=0, le=1, description="probability of a horizontal flip")
    train_short_sides: tuple[int, ...] = Field(
        (480, 560, 640, 720, 800), description="drawn per image and step, pixels"
    )
    shots: int | None = Field(None, ge=1, description="few-shot: about this many images per class, in train and val")
    shot_seed: int | Literal["cell"] | None = Field(
        None, description="draws the few-shot subset, `cell` by each cell's seed; without it the first images by id"
    )
    pyramid_cache_mb: int = Field(1024, ge=0, description="memory for the pyramids of a frozen image encoder; exact")
    exact_savings: bool = Field(
        True, description="false: computed as the published code does, the same numbers for more work (to compare)"
    )


class CellSettings(Strict):
    """Everything a cell's result depends on besides code, data and weights; its digest is a parameter of the step."""

    method: str
    tokens_per_class: int
    start_std: StartStd | None = None  # None: nothing starts at random
    learning_rate: float
    stage1: str
    prompts: str
    tuning: Tuning
    precision: Precision = "bfloat16"  # of a GPU
    scoring_precision: Precision = "bfloat16"
    test_short_side: int | None = None  # None: the model's own
    pictures: int | None = None  # of a split at most
    loss_groups: tuple[LossGroup, ...] | None = None
    projections: str | None = None
    tuned_arm: str | None = None  # for a method that reads the tuned values of another arm
    options: dict[str, Any] = Field(default_factory=dict)  # the method's own numbers, where the arm gives them


class Recipe(Strict):
    """How a classifier is trained: the published values of a method, which a suite or an arm may override."""

    optimiser: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: float = Field(2e-3, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1, description="of sgd")
    weight_decay: float = Field(5e-4, ge=0, description="adamw's is apart from the gradient, that of the others in it")
    eps: float = Field(1e-8, gt=0, description="of adam and adamw")
    epochs: int = Field(50, ge=0)
    max_steps: int | None = Field(None, ge=1, description="optimiser steps at most, whatever the epochs ask for")
    batch_size: int = Field(32, ge=1, description="images per optimiser step")
    schedule: Literal["constant", "cosine", "cosine_per_step", "poly_per_step"] = Field(
        "cosine", description="to zero over all epochs, epoch by epoch or step by step; poly: (1 - share done)^0.9"
    )
    warmup_epochs: int = Field(1, ge=0, description="first epochs at the constant `warmup_rate`")
    warmup_rate: float = Field(1e-5, gt=0)
    clip_norm: float | None = Field(None, gt=0, description="greatest norm of all gradients together")
    options: dict[str, Any] = Field(default_factory=dict, description="the method's own numbers by name")


def check_options(
    given: Mapping[str, Any], defaults: Mapping[str, Any], *, where: str, may_be_off: frozenset[str] = frozenset()
) -> None:
    """ConesError for an option that a method does not have, or whose value is of another kind than a default that is a
    number or true or false; a default that is a whole number is a count. Those of `may_be_off` may be null."""
    for name, value in given.items():
        if name not in defaults:
            raise ConesError(
                f'the method has no option "{name}"',
                where=where,
                next_step=closest(name, defaults) if defaults else "remove it",
            )
        kind = next((kind for kind in (bool, int, float) if isinstance(defaults[name], kind)), None)
        fits = {bool: isinstance(value, bool), int: type(value) is int, float: type(value) in (int, float)}
        is_off = value is None and name in may_be_off
        if kind and not fits[kind] and not is_off:
            raise ConesError(
                f'the option "{name}" is of another kind',
                where=where,
                expected={bool: "true or false", int: "a whole number", float: "a number"}[kind],
                found=value,
                next_step=f"correct it; its default is {defaults[name]}",
            )
