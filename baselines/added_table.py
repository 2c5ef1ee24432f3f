"""Prompt tuning after the text encoder: a table of vectors, initially zero, is added to its output by position."""

from dataclasses import replace

import torch
from torch import nn

from cones.methods.method import PromptInputs, TuningMethod
from cones.methods.prompts import FixedPrompt, PromptContext
from cones.models.detector import GroundedDetector
from cones.models.language import LanguageFeatures

METHOD = {
    "name": "added_table",
    "class": "AddedTableTuning",
    "label": "Prompt tuning after the encoder",
    "block": "control",
    "inputs": ["text_states"],
    "has_vectors": False,
}


class AddedTable(FixedPrompt):
    """`hidden + vectors`, shared by all images. Padding influences nothing, so only the L valid rows are kept."""

    def __init__(self, text_states: LanguageFeatures):
        super().__init__(text_states)
        self.vectors = nn.Parameter(torch.zeros_like(self.hidden[0]))  # (L, D)

    def forward(self, context: PromptContext) -> LanguageFeatures:
        text = super().forward(context)
        return replace(text, hidden=text.hidden + self.vectors)


class AddedTableTuning(TuningMethod):
    """Only the table trains; the encoder runs once per dataset and receives no gradient."""

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> AddedTable:
        return AddedTable(prompt_inputs.text_states)

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return name == "prompt.vectors"
