"""CoOp: context vectors before the class name, learned from a few labelled images (IJCV 2022, arXiv 2109.01134).

Official code: KaiyangZhou/CoOp ff61507, trainers/coop.py, train.py, configs/trainers/CoOp; the optimiser and schedule
are Dassl's (c61a1b5). M = 16 vectors from N(0, 0.02²), shared by all classes, before the name; mean cross-entropy; SGD
0.002, batch 32, cosine, one warm-up epoch at 1e-5. Published epochs: 50 with one image of a class, 100 with 2 or 4, 200
with 8 or 16, on ImageNet always 50; the recipe here is that of 16. Papers that compare with CoOp on unseen classes
start from the words "a photo of a" (option `words`).

What differs: encoders run in the precision of the cell (float16 there). With `words`, M is their number of tokens; the
code counts words, which is the same unless a word has several tokens. Prompt tuning of the ConES paper is CoOp with
vectors of each class (`class_specific`): those serve the classes they were trained for alone.

On a detector (`SharedContext`) the N vectors of the suite stand before every class name in the caption, one context for
all classes; loss, schedule and budget are those of all methods there.
"""

from torch import Tensor

from baselines.text_prompts.caption import caption_with_context
from baselines.text_prompts.context import OPTIONS, ContextClassifier, ContextTexts, start_of_context
from cones.methods.classifier import ClassifierInputs, ClassifierMethod, Recipe
from cones.methods.method import PromptInputs, TuningMethod
from cones.methods.prompts import SoftCaption, random_vectors
from cones.models.detector import GroundedDetector

METHOD = {
    "name": "coop",
    "class": "SharedContext",
    "classifier": "CoOp",
    "label": "CoOp",
    "block": "text_prompts",
    "inputs": ["text_encoder"],
    "start_std": "word",
    "vectors_alone": True,
    "has_vectors": False,
    "survey": {
        "paper": "IJCV 2022, arXiv 2109.01134",
        "idea": "learns the words around the class names",
        "attaches": "text encoder, input",
        "trains": "16 vectors, shared by all classes",
        "quirk": "200 epochs at 16 shots; random start, so that it does not start at zero-shot",
    },
}


class CoOp(ClassifierMethod):
    """The context trains; started from the words before the name, the classifier is zero-shot."""

    reads = frozenset({"pooled", "text_encoder"})
    unseen_classes = True
    recipe = Recipe(optimiser="sgd", learning_rate=2e-3, epochs=200, options=OPTIONS)

    def classifier(self, inputs: ClassifierInputs) -> ContextClassifier:
        return self.with_context(inputs, start_of_context(inputs, self.options(inputs)))

    def for_classes(self, classifier: ContextClassifier, inputs: ClassifierInputs) -> ContextClassifier | None:
        if self.options(inputs).get("class_specific"):
            return None
        return self.with_context(inputs, classifier.context)

    def with_context(self, inputs: ClassifierInputs, context: Tensor) -> ContextClassifier:
        """The classifier of the classes of `inputs`; a parameter as context is shared, not copied."""
        return ContextClassifier(self.texts(inputs, context.shape[-2]), context, inputs.logit_scale)

    def texts(self, inputs: ClassifierInputs, vectors: int) -> ContextTexts:
        position = self.options(inputs).get("position", "end")
        return ContextTexts(inputs.encoder, inputs.tokenizer, inputs.names, vectors=vectors, position=position)


class SharedContext(TuningMethod):
    """On a detector: N vectors, the same before every class name; the name stands for the class."""

    unseen_classes = True

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> SoftCaption:
        vectors = random_vectors(prompt_inputs, prompt_inputs.text_encoder.width, shared=True)
        return caption_with_context(prompt_inputs, vectors)

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return name == "prompt.vectors"
