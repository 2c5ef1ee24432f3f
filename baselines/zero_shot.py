"""Zero-shot: class names through the frozen text encoder, nothing trains.

With two encoders (CLIP, arXiv 2103.00020; openai/CLIP d05afc4, and KaiyangZhou/CoOp ff61507, trainers/zsclip.py): a
class is its name in the data set's template. The ensemble is CLIP's: unit features of several templates, their mean
made unit. Its templates here are seven plain ones in our own words, the same for every set, where the published lists
hold 7 or 80 chosen on ImageNet.
"""

from cones.methods.class_vectors import ClassVectors, averaged_texts
from cones.methods.classifier import ClassifierInputs, ClassifierMethod
from cones.methods.method import PromptInputs, TuningMethod
from cones.methods.prompts import FixedPrompt
from cones.models.detector import GroundedDetector

METHOD = [
    {
        "name": "zero_shot",
        "class": "ZeroShot",
        "classifier": "ZeroShotClassifier",
        "label": "Zero-shot",
        "block": "zero_shot",
        "inputs": ["text_states"],
        "is_tuned": False,
        "has_vectors": False,
        "context": "cones.methods.contexts:ClassNameContext",
        "survey": {
            "paper": "ICML 2021, arXiv 2103.00020",
            "idea": "a class is its name in a hand-written template",
            "attaches": "nowhere",
            "trains": "nothing",
            "quirk": "the template is the set's own; published ones were chosen on test sets",
        },
    },
    {
        "name": "zero_shot_ensemble",
        "classifier": "ZeroShotEnsemble",
        "not_for_detectors": "a mean over templates of whole pictures; on detectors the three phrases a class of"
        " CuPL are such a mean",
        "label": "Zero-shot, seven templates",
        "block": "zero_shot",
        "is_tuned": False,
        "has_vectors": False,
        "survey": {
            "paper": "ICML 2021, arXiv 2103.00020",
            "idea": "a class is the mean of its texts in several templates",
            "attaches": "nowhere",
            "trains": "nothing",
            "quirk": "seven plain templates of our own for every set, where CLIP has 7 or 80 chosen on ImageNet",
        },
    },
]

TEMPLATES = (
    "a photo of a {}.",
    "a picture of the {}.",
    "a close-up photo of a {}.",
    "a cropped photo of a {}.",
    "a blurry photo of a {}.",
    "a photo of one small {}.",
    "a photo of a large {}.",
)


class ZeroShot(TuningMethod):
    """Class names as they are; the text encoder's output, constant per dataset, is read from the text step's file.

    A generator is conditioned on "a photo of a dog", or an editing prompt with the class noun.
    """

    not_for_generators = None

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> FixedPrompt:
        return FixedPrompt(prompt_inputs.text_states)

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return False


class ZeroShotClassifier(ClassifierMethod):
    """Each class is its name in the set's own template; logits = exp(logit_scale) * cosine."""

    serves = frozenset({"classification", "multi_label", "dense"})
    labels = "none"
    unseen_classes = True

    def classifier(self, inputs: ClassifierInputs) -> ClassVectors:
        return ClassVectors(inputs.class_texts(), inputs.logit_scale)

    def for_classes(self, classifier: ClassVectors, inputs: ClassifierInputs) -> ClassVectors:
        return self.classifier(inputs)


class ZeroShotEnsemble(ZeroShotClassifier):
    """Each class is the mean of its name in several templates, the same for every set."""

    def classifier(self, inputs: ClassifierInputs) -> ClassVectors:
        texts = [[template.format(name) for template in TEMPLATES] for name in inputs.names]
        return ClassVectors(averaged_texts(inputs.text, texts), inputs.logit_scale)
