"""The `TuningMethod` seam and the registry of methods: one file and one line each, found by name.

The registry is read while the workflow is parsed, so this module imports nothing heavy; a method's own file is imported
by `TuningMethod.load` inside the step that tunes with it.
"""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch
    from torch import nn

    from cones.config import CellSettings
    from cones.language import ClassPhrase, LanguageFeatures
    from cones.models.detector import GroundedDetector
    from cones.prompts import Prompt

Input = Literal["text_states", "text_encoder", "stage1"]
GENERATORS = frozenset({"sd15", "sd_nano"})  # models that draw pictures; all others detect


@dataclass(frozen=True)
class MethodEntry:
    """One line of the registry: where the method lives and which files of other steps it reads."""

    target: str  # "module:Class"
    label: str  # as tables and figures print it
    block: Literal["zero_shot", "peft", "fine_tuning", "control"]  # the paper's Table 1 is cut in the first three
    inputs: tuple[Input, ...] = ()
    is_tuned: bool = True
    has_vectors: bool = True  # N vectors per class stand in the language
    trains_image_encoder: bool = False  # then its image features are its own
    context: str | None = None  # "module:Class" of what a generator hears, where the method can draw pictures

    @property
    def module(self) -> str:
        return self.target.partition(":")[0]


METHODS: dict[str, MethodEntry] = {
    "zero_shot": MethodEntry(
        "baselines.zero_shot:ZeroShot",
        "Zero-shot",
        "zero_shot",
        ("text_states",),
        is_tuned=False,
        has_vectors=False,
        context="cones.models.stable_diffusion.contexts:ClassNameContext",
    ),
    "linear_probing": MethodEntry(
        "baselines.linear_probing:LinearProbing", "Linear probing", "peft", ("text_states",), has_vectors=False
    ),
    "textual_inversion": MethodEntry(
        "baselines.textual_inversion:TextualInversion",
        "Textual inversion",
        "peft",
        ("text_encoder",),
        context="cones.models.stable_diffusion.contexts:PseudoWordContext",
    ),
    "prompt_tuning": MethodEntry("baselines.prompt_tuning:PromptTuning", "Prompt tuning", "peft", ("text_encoder",)),
    "cones": MethodEntry(
        "cones.search:ConceptEmbeddingSearch",
        "ConES (stage 1)",
        "peft",
        context="cones.models.stable_diffusion.contexts:ConceptContext",
    ),
    "full_finetuning": MethodEntry(
        "baselines.full_finetuning:FullFinetuning",
        "Full fine-tuning",
        "fine_tuning",
        ("text_encoder",),
        has_vectors=False,
        trains_image_encoder=True,
    ),
    "cones_finetuned": MethodEntry(
        "cones.finetune:ConceptFinetuning", "ConES (stage 2)", "fine_tuning", ("stage1",), trains_image_encoder=True
    ),
    # not rows of the paper's Table 1
    "added_table": MethodEntry(
        "baselines.added_table:AddedTableTuning",
        "Prompt tuning after the encoder",
        "control",
        ("text_states",),
        has_vectors=False,
    ),
    "cones_text_init": MethodEntry(
        "cones.controls:TextInitialisedSearch", "ConES, started from text", "control", ("text_states",)
    ),
    "cones_step0": MethodEntry("cones.controls:UntrainedConcepts", "ConES, never trained", "control", is_tuned=False),
}


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
        module, _, attribute = METHODS[name].target.partition(":")
        return getattr(importlib.import_module(module), attribute)()

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
