"""Variants of ConES: vectors that start from the class text, that never train, that are held near the class text."""

import torch

from baselines.text_prompts.kgcoop import Anchored
from cones.methods.method import PromptInputs
from cones.models.detector import GroundedDetector
from cones.search import ConceptEmbedding, ConceptEmbeddingSearch

METHOD = [
    {
        "name": "cones_text_init",
        "class": "TextInitialisedSearch",
        "label": "ConES, started from text",
        "block": "control",
        "inputs": ["text_states"],
    },
    {
        "name": "cones_step0",
        "class": "UntrainedConcepts",
        "label": "ConES, never trained",
        "block": "control",
        "is_tuned": False,
        "start_std": 1.0,
    },
    {
        "name": "cones_kg",
        "class": "AnchoredConcepts",
        "label": "ConES, held near the names",
        "block": "control",
        "inputs": ["text_states"],
        "start_std": 1.0,
    },
]


class TextInitialisedSearch(ConceptEmbeddingSearch):
    """ConES started from the text encoder's output for each class, to measure what the random start costs."""

    not_for_generators = "a control of the detection tables"

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> ConceptEmbedding:
        text, tokens = prompt_inputs.text_states, prompt_inputs.settings.tokens_per_class
        rows = []
        for positions in text.class_positions[0]:  # (L,) of one class
            states = text.hidden[0, positions]  # (P, D): a class of P word pieces, repeated or cut to N
            rows.append(states[torch.arange(tokens) % len(states)])
        return ConceptEmbedding(torch.stack(rows))  # (K, N, D)


class UntrainedConcepts(ConceptEmbeddingSearch):
    """ConES at step 0: random vectors, scored before any search."""

    not_for_generators = "a control of the detection tables"

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return False


class AnchoredConcepts(Anchored, ConceptEmbeddingSearch):
    """KgCoOp's term on ConES: the mean vector of a class is held near what the text encoder says of its name, in
    direction; the encoder is read once and not built. Neither paper has it."""

    not_for_generators = "the anchor is the state of a caption of class names, which no generator has"
