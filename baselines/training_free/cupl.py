"""CuPL: classes by sentences that were written about them (ICCV 2023, arXiv 2209.03320).

Official code: sarahpratt/CuPL 719619c, classify_imagenet.py (the classifier), generate_image_prompts.py (how sentences
were made). A class is the mean of the unit features of its texts, made unit. `texts`: base (templates), sentences, or
both, which is *one* list of templates and sentences, every text with the same weight, and not the average of the two
classifiers. Texts that are too long are cut, as in the code.

What differs: the published sentences are GPT-3's (ten answers to each question, ViT-L/14), ours are this project's own
words (`written_texts.py`); the published 80 templates are here the set's own one. Scores have CLIP's scale, which
changes no answer.

On a detector (`AveragedPhrases`) the caption is read once for each phrase that is written about the classes, and a
class is the mean of the states of its name's rows; nothing else of the captions is kept.
"""

from functools import partial

import torch
from torch import Tensor

from baselines.training_free.written_texts import texts_about, texts_for_detectors
from cones.methods.class_vectors import ClassVectors, averaged_texts
from cones.methods.classifier import ClassifierInputs, ClassifierMethod, Recipe, choice
from cones.methods.method import PromptInputs, TuningMethod
from cones.methods.prompts import CaptionPrompt, FixedPrompt, PromptContext, encode_caption
from cones.models.detector import GroundedDetector
from cones.models.language import ClassPhrase, LanguageFeatures, clean_class_name
from cones.runtime.errors import ConesError

METHOD = {
    "name": "cupl",
    "class": "AveragedPhrases",
    "classifier": "CuPL",
    "label": "CuPL",
    "block": "training_free",
    "inputs": ["text_encoder"],
    "is_tuned": False,
    "has_vectors": False,
    "survey": {
        "paper": "ICCV 2023, arXiv 2209.03320",
        "idea": "a class is the mean of sentences that were written about it",
        "attaches": "texts",
        "trains": "nothing",
        "quirk": "the published sentences are GPT-3's and are not shipped; ours are the project's"
        " own, for the drawn sets",
    },
}


class CuPL(ClassifierMethod):
    """Nothing trains, nothing is chosen."""

    labels = "none"
    unseen_classes = True
    recipe = Recipe(epochs=0, options={"texts": "both"})

    def classifier(self, inputs: ClassifierInputs) -> ClassVectors:
        kind = choice("texts", self.options(inputs)["texts"], ("both", "base", "sentences"))
        templates = [[inputs.template.format(name)] if kind != "sentences" else [] for name in inputs.names]
        sentences = [[] for _ in inputs.names]
        if kind != "base":
            sentences = [list(about.sentences) for about in texts_about(inputs.dataset, inputs.names)]
            if empty := [name for name, written in zip(inputs.names, sentences) if not written]:
                raise ConesError(
                    "no sentence is written about a class",
                    where=f"texts about {inputs.dataset}",
                    found=", ".join(empty),
                    next_step="write some",
                )
        texts = [base + written for base, written in zip(templates, sentences)]
        return ClassVectors(averaged_texts(partial(inputs.text, truncate=True), texts), inputs.logit_scale)

    def for_classes(self, classifier: ClassVectors, inputs: ClassifierInputs) -> ClassVectors:
        return self.classifier(inputs)


class AveragedPhrases(TuningMethod):
    """On a detector: nothing trains; the text encoder runs once for each phrase and is gone at test."""

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> FixedPrompt:
        names = [clean_class_name(phrase.name) for phrase in prompt_inputs.phrases]
        written = [about.phrases or ("{}",) for about in texts_for_detectors(names)]
        states = []
        for number in range(max(map(len, written))):
            parts = [phrases[number % len(phrases)].split("{}") for phrases in written]
            caption = [ClassPhrase(name, before, after) for name, (before, after) in zip(names, parts)]
            encoded = encode_caption(prompt_inputs.tokenizer, caption)
            with torch.no_grad():
                language = CaptionPrompt(prompt_inputs.text_encoder, encoded)(PromptContext())
            states.append([language.hidden[0, rows] for rows in language.class_positions[0]])
        return FixedPrompt(rows_of_classes([torch.stack(of_class).mean(0) for of_class in zip(*states)]))

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return False


def rows_of_classes(states: list[Tensor]) -> LanguageFeatures:
    """The rows of each class (n_k, D) -> features in which they follow one another, each class a phrase of its own."""
    hidden = torch.cat(states)[None]  # (1, L, D)
    owners = torch.cat([torch.full((len(rows),), k) for k, rows in enumerate(states)]).to(hidden.device)  # (L,)
    class_positions = owners == torch.arange(len(states), device=hidden.device)[:, None]  # (K, L)
    starts = class_positions.int().argmax(dim=1)[owners]  # (L,)
    return LanguageFeatures(
        hidden, torch.ones_like(owners, dtype=torch.bool)[None], class_positions[None], starts[None]
    )
