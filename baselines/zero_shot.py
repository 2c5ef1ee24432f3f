"""Zero-shot: class names through the frozen text encoder, nothing trains."""

from cones.methods.method import PromptInputs, TuningMethod
from cones.methods.prompts import FixedPrompt
from cones.models.detector import GroundedDetector

METHOD = {
    "name": "zero_shot",
    "class": "ZeroShot",
    "label": "Zero-shot",
    "block": "zero_shot",
    "inputs": ["text_states"],
    "is_tuned": False,
    "has_vectors": False,
    "context": "cones.methods.contexts:ClassNameContext",
}


class ZeroShot(TuningMethod):
    """Class names as they are; the text encoder's output, constant per dataset, is read from the text step's file.

    A generator is conditioned on "a photo of a dog", or an editing prompt with the class noun.
    """

    not_for_generators = None

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> FixedPrompt:
        return FixedPrompt(prompt_inputs.text_states)

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return False
