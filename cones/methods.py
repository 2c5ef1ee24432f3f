"""The `TuningMethod` seam and the registry of methods: one file each, found by name.

The registry is read while the workflow is parsed, so this module imports nothing heavy; a method's own file is imported
by `TuningMethod.load` inside the step that tunes with it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from cones.runtime.registry import Entry, Registry

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cones.config import CellSettings
    from cones.language import ClassPhrase, LanguageFeatures
    from cones.models.detector import GroundedDetector
    from cones.prompts import Prompt

Input = Literal["text_states", "text_encoder", "stage1"]
GENERATORS = frozenset({"sd15", "sd_nano"})  # models that draw pictures; all others detect


class MethodEntry(Entry):
    """What a method's file says in its literal METHOD: how it is shown, and which files of other steps it reads."""

    class_name: str = Field(alias="class")
    label: str = Field(description="as tables and figures print it")
    block: str = Field(description="of Table 1: zero_shot, peft, fine_tuning, control, or a title of its own")
    inputs: tuple[Input, ...] = Field((), description="files of other steps")
    is_tuned: bool = True
    has_vectors: bool = Field(True, description="N vectors per class stand in the language")
    trains_image_encoder: bool = Field(False, description="then its image features are its own")
    context: str | None = Field(
        None, description='"module:Class" of what a generator hears, where the method can draw pictures'
    )

    @property
    def of_cells(self) -> dict:
        """What a cell's result depends on; how the method is shown concerns tables alone."""
        return self.model_dump(mode="json", exclude={"label", "block"})


METHODS: Registry[MethodEntry] = Registry(
    "method", MethodEntry, literal="METHOD", built_in="cones.built_in:METHODS", group="cones.methods"
)


@dataclass
class Ingredients:
    """What a method may make its prompt of; inputs that its registry line does not name are None."""

    phrases: list[ClassPhrase]  # how each class is said, in class order
    settings: CellSettings
    generator: torch.Generator  # seeded by the cell: the only source of random starts
    text_states: LanguageFeatures | None = None  # class names through the frozen encoder
    text_encoder: nn.Module | None = None
    tokenizer: object | None = None
    concepts: LanguageFeatures | None = None  # stage-1 concept embeddings


class TuningMethod(ABC):
    """How the language features are made and what trains; nothing else differs between the rows of a table.

    Parameter names are those of `{"model": detector, "prompt": prompt}`, such as "model.rpn.head.log_scale".
    not_for_generators  why no generator can carry the method, or None for one with a `context` in the registry
    """

    not_for_generators: str | None = "not defined for image generation"

    @staticmethod
    def load(name: str) -> TuningMethod:
        return METHODS.make(name, TuningMethod)

    def supports(self, model_name: str) -> str | None:
        """None, or the reason why this model cannot carry the method; tables print it."""
        return self.not_for_generators if model_name in GENERATORS else None

    @abstractmethod
    def prompt(self, model: GroundedDetector, ingredients: Ingredients) -> Prompt:
        """The module that makes the language features."""

    @abstractmethod
    def trainable(self, name: str, model: GroundedDetector) -> bool:
        """Whether the parameter trains. What the model freezes for every method is left out by the caller."""

    def set_modes(self, model: GroundedDetector, prompt: Prompt) -> None:
        """Train or eval mode, part by part, before each epoch: by default every dropout and drop path is off."""
        model.eval()
        prompt.eval()
