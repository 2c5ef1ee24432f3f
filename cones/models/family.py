"""The registry of model families. A family's own module says how its models are built, read and fetched.

Read while the workflow is parsed: nothing here imports PyTorch, and a family is imported by the step that builds one.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import Field

from cones.models.caption_style import CaptionStyle
from cones.models.generators import GENERATORS, SHIPPED
from cones.runtime.errors import ConesError, closest
from cones.runtime.precision import Precision
from cones.runtime.registry import Entry, Registry
from cones.runtime.sources import source_path
from cones.runtime.strict import Name

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cones.models.detector import GroundedDetector
    from cones.models.dual_encoder import DualEncoder, Tokenizer

F = TypeVar("F", bound="Family")


class FamilyEntry(Entry):
    """What a family's file says in its literal MODEL."""

    class_name: str = Field(alias="class")
    kind: Literal["detector", "dual_encoder"] = Field(
        "detector", description='what its models are: a class of "dual_encoder" derives from `DualEncoderFamily`'
    )
    models: tuple[Name, ...] = Field(min_length=1, description="the names of its sizes, as suites give them")
    official: str | None = Field(
        None, description="a YAML file beside the family's: {model: its official checkpoint, as an `Archive`}"
    )
    nano: tuple[Name, ...] = Field((), description="of `models`, those so small that a GPU does not pay")
    precision: Precision = Field("bfloat16", description="in which a GPU trains them, unless a suite says otherwise")
    scoring_precision: Precision = Field("bfloat16", description="in which a GPU detects with them, likewise")
    text_rows: int | None = Field(None, description="the most rows of language that they take; None: any number")
    vocabulary: str | None = Field(None, description="the official file that the text encoders of those need")

    @property
    def official_list(self) -> Path | None:
        return source_path(self.module).parent / self.official if self.official else None


FAMILIES: Registry[FamilyEntry] = Registry(
    "model family", FamilyEntry, literal="MODEL", built_in="cones.built_in:MODELS", group="cones.models"
)


class Family:
    """What families of detectors and of models with two encoders have in common.

    unused       names of a checkpoint that take no part in the model; they may be there or not, in any shape
    pretrained_on  {model: datasets of the registry that its published weights were trained on}: no score of it there is
                 called zero-shot
    """

    unused: re.Pattern = re.compile(r"(?!)")  # none
    pretrained_on: Mapping[str, frozenset[str]] = MappingProxyType({})

    def converted(self, name: str, state: dict[str, Tensor], *, where: object) -> dict[str, Tensor]:
        """The tensors of an official checkpoint under the names of the named model; by default they are the same."""
        return state


class ModelFamily(Family, ABC):
    """Detectors of one architecture in several sizes.

    text_prefix  what stands before the text encoder's parameter names in a checkpoint
    captions     how class names are written in one caption
    """

    text_prefix: str
    captions: CaptionStyle = CaptionStyle()

    @abstractmethod
    def detector(self, name: str) -> GroundedDetector:
        """The named model with fresh parameters, without a text encoder."""

    @abstractmethod
    def text_encoder(self, name: str) -> nn.Module:
        """The text encoder that belongs to the named model, with fresh parameters."""

    @abstractmethod
    def vocabulary(self, name: str) -> Path:
        """The word pieces of that text encoder, one a line."""


class DualEncoderFamily(Family, ABC):
    """Models with an image and a text encoder of one space, in several sizes."""

    @abstractmethod
    def dual_encoder(self, name: str) -> DualEncoder:
        """The named model with fresh parameters."""

    @abstractmethod
    def tokenizer(self, name: str, vocabulary: str | Path | None = None) -> Tokenizer:
        """What its text encoder reads; `vocabulary` replaces the model's own file."""


def model_names() -> dict[str, str]:
    """{model: its family}. ConesError if two families have a model of one name."""
    names: dict[str, str] = {}
    for family, entry in FAMILIES.items():
        for model in entry.models:
            if model in names:
                raise ConesError(
                    f'the model "{model}" is there already',
                    where=source_path(entry.module),
                    found=f"also in the family {names[model]}",
                    next_step="choose another name in `models`",
                )
            names[model] = family
    return names


def family_of(model: str, *, where: object = "models") -> FamilyEntry:
    """The registry entry of the family that a model belongs to."""
    names = model_names()
    if model not in names:
        raise ConesError(f'there is no model "{model}"', where=where, next_step=closest(model, names))
    return FAMILIES[names[model]]


def is_nano(model: str) -> bool:
    """Whether a model is so small that a GPU does not pay."""
    return model == SHIPPED if model in GENERATORS else model in family_of(model).nano


def any_family_named(model: str) -> Family:
    """The family that a model belongs to, imported now."""
    return dual_encoder_family_named(model) if is_dual_encoder(model) else family_named(model)


def is_dual_encoder(model: str) -> bool:
    """Whether a model has two encoders; all others are detectors."""
    return family_of(model).kind == "dual_encoder"


def family_named(model: str) -> ModelFamily:
    """The family that a detector belongs to, imported now. ConesError for a model with two encoders."""
    return _made(model, "detector", ModelFamily)


def dual_encoder_family_named(model: str) -> DualEncoderFamily:
    """The family that a model with two encoders belongs to, imported now. ConesError for a detector."""
    return _made(model, "dual_encoder", DualEncoderFamily)


def _made(model: str, kind: str, base: type[F]) -> F:
    entry = family_of(model)
    if entry.kind != kind:
        words = {"detector": "a detector", "dual_encoder": "a model with two encoders"}
        raise ConesError(
            f"{model} is not {words[kind]}",
            where=f"models: {model}",
            found=words[entry.kind],
            next_step="detectors belong to a suite's `models` and `grids`, models with two encoders to its "
            "`classification`",
        )
    return FAMILIES.make(entry.name, base)
