"""Two controls: concept embeddings that start from the class text, and concept embeddings that never train."""

import torch

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
