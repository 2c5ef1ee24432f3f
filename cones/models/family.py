"""The registry of model families. A family's own module says how its models are built, read and fetched.

Read while the workflow is parsed: nothing here imports PyTorch, and a family is imported by the step that builds one.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

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


class FamilyEntry(Entry):
    """What a family's file says in its literal MODEL."""

    class_name: str = Field(alias="class")
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


class ModelFamily(ABC):
    """Models of one architecture in several sizes.

    text_prefix  what stands before the text encoder's parameter names in a checkpoint
    unused       names of a checkpoint that take no part in the model; they may be there or not, in any shape
    captions     how class names are written in one caption
    pretrained_on  {model: datasets of the registry that its published weights were trained on}: no score of it there is
                 called zero-shot
    """

    text_prefix: str
    captions: CaptionStyle = CaptionStyle()
    unused: re.Pattern = re.compile(r"(?!)")  # none
    pretrained_on: Mapping[str, frozenset[str]] = MappingProxyType({})

    @abstractmethod
    def detector(self, name: str) -> GroundedDetector:
        """The named model with fresh parameters, without a text encoder."""

    @abstractmethod
    def text_encoder(self, name: str) -> nn.Module:
        """The text encoder that belongs to the named model, with fresh parameters."""

    @abstractmethod
    def vocabulary(self, name: str) -> Path:
        """The word pieces of that text encoder, one a line."""

    def converted(self, name: str, state: dict[str, Tensor], *, where: object) -> dict[str, Tensor]:
        """The tensors of an official checkpoint under the names of the named model; by default they are the same."""
        return state


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


def family_named(model: str) -> ModelFamily:
    """The family that a model belongs to, imported now."""
    return FAMILIES.make(family_of(model).name, ModelFamily)
