"""ConES, stage 1: search the concept embeddings. The vectors replace the text encoder's output; the encoder is gone."""

import torch
from torch import nn

from cones.methods.method import PromptInputs, TuningMethod
from cones.methods.prompts import Prompt, PromptContext, random_vectors
from cones.models.detector import GroundedDetector
from cones.models.language import LanguageFeatures

METHOD = {
    "name": "cones",
    "class": "ConceptEmbeddingSearch",
    "label": "ConES (stage 1)",
    "block": "peft",
    "start_std": 1.0,
    "context": "cones.methods.contexts:ConceptContext",
}


class ConceptEmbedding(Prompt):
    """K classes x N free vectors of the text encoder's output width D, started at random (paper, section 3.2, eq. 5).

    Class k owns rows k*N … k*N+N-1 of the language features; nothing else is said: no [CLS], no separator, no padding.
    """

    def __init__(self, vectors: torch.Tensor):
        super().__init__()
        self.vectors = nn.Parameter(vectors)  # (K, N, D)

    def forward(self, context: PromptContext) -> LanguageFeatures:
        return LanguageFeatures.of_tokens_per_class(self.vectors)


class ConceptEmbeddingSearch(TuningMethod):
    """Only the concept embeddings train; the detector or UNet is frozen, the text encoder is never built."""

    not_for_generators = None

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> ConceptEmbedding:
        return ConceptEmbedding(random_vectors(prompt_inputs, model.text_width))

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return name == "prompt.vectors"
