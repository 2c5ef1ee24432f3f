"""ConES, stage 1: search the concept embeddings. The vectors replace the text encoder's output; the encoder is gone."""

import torch
from torch import nn

from cones.methods.class_vectors import ClassVectors
from cones.methods.classifier import ClassifierInputs, ClassifierMethod, Recipe, choice
from cones.methods.method import PromptInputs, TuningMethod
from cones.methods.prompts import Prompt, PromptContext, random_vectors
from cones.models.detector import GroundedDetector
from cones.models.language import LanguageFeatures

METHOD = {
    "name": "cones",
    "class": "ConceptEmbeddingSearch",
    "classifier": "ConceptClassifier",
    "label": "ConES (stage 1)",
    "block": "peft",
    "start_std": 1.0,
    "context": "cones.methods.contexts:ConceptContext",
    "survey": {
        "paper": "arXiv 2305.18993",
        "idea": "N vectors a class in place of the text encoder's output; the encoder is gone",
        "attaches": "class vectors",
        "trains": "N d values a class",
        "quirk": "no recipe for models with two encoders was published: the optimiser and rate here are ours",
    },
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


class ConceptClassifier(ClassifierMethod):
    """With two encoders: K classes x N free vectors in the place of the text encoder's output, N > 1 by the mean of
    their cosines. Against TaskRes (`baselines/adapters/taskres.py`) nothing ties the vectors to a class name.

    tokens_per_class  N
    start             random, as in the paper, or text: the class name in the set's template
    start_std         of random starts; of N > 1 vectors that start from one text, the share of the text's own standard
                      deviation by which they are moved apart, as equal vectors would stay equal

    No rate was published for such models; this one is that of TaskRes, without its decay.
    """

    label_note = "like TaskRes, but the vectors of a class are free: nothing ties them to its name"
    serves = frozenset({"classification", "multi_label", "dense"})
    recipe = Recipe(
        optimiser="adam",
        learning_rate=2e-3,
        weight_decay=0.0,
        epochs=100,
        batch_size=32,
        warmup_epochs=0,
        options={"tokens_per_class": 1, "start": "random", "start_std": 1.0},
    )

    def classifier(self, inputs: ClassifierInputs) -> ClassVectors:
        own, images = self.options(inputs), inputs.train.features.pooled
        shape = len(inputs.names), own["tokens_per_class"], images.shape[1]
        noise = own["start_std"] * torch.randn(shape, generator=inputs.generator)  # (K, N, d)
        vectors = noise.to(images)
        if choice("start", own["start"], ("random", "text")) == "text":  # from random no text encoder is built
            text = inputs.class_texts()
            moved = text.std() * noise.to(text) if own["tokens_per_class"] > 1 else 0
            vectors = text[:, None].expand(shape) + moved
        return ClassVectors(vectors, inputs.logit_scale, trains=True)
