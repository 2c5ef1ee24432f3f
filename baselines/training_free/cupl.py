"""CuPL: classes by sentences that were written about them (ICCV 2023, arXiv 2209.03320).

Official code: sarahpratt/CuPL 719619c, classify_imagenet.py (the classifier), generate_image_prompts.py (how sentences
were made). A class is the mean of the unit features of its texts, made unit. `texts`: base (templates), sentences, or
both, which is *one* list of templates and sentences, every text with the same weight, and not the average of the two
classifiers. Texts that are too long are cut, as in the code.

What differs: the published sentences are GPT-3's (ten answers to each question, ViT-L/14), ours are this project's own
words (`written_texts.py`); the published 80 templates are here the set's own one. Scores have CLIP's scale, which
changes no answer.
"""

from functools import partial

from baselines.training_free.written_texts import texts_about
from cones.methods.class_vectors import ClassVectors, averaged_texts
from cones.methods.classifier import ClassifierInputs, ClassifierMethod, Recipe, choice
from cones.runtime.errors import ConesError

METHOD = {
    "name": "cupl",
    "classifier": "CuPL",
    "label": "CuPL",
    "block": "training_free",
    "is_tuned": False,
    "has_vectors": False,
    "survey": {
        "paper": "ICCV 2023, arXiv 2209.03320",
        "idea": "A class is the mean of sentences that were written about it.",
        "attaches": "texts",
        "trains": "nothing",
        "quirk": "The published sentences are GPT-3's and are not shipped; ours are the project's"
        " own, for the drawn sets.",
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
