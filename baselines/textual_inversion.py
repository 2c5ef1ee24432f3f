"""Textual inversion: each class name becomes N learnable pseudo-words at the input of the frozen text encoder."""

from cones.methods.method import PromptInputs, TuningMethod
from cones.methods.prompts import SoftCaption, random_vectors
from cones.models.detector import GroundedDetector

METHOD = {
    "name": "textual_inversion",
    "class": "TextualInversion",
    "label": "Textual inversion",
    "block": "peft",
    "inputs": ["text_encoder"],
    "start_std": "word",
    "context": "cones.methods.contexts:PseudoWordContext",
}


class TextualInversion(TuningMethod):
    """Caption "S1 S2 S3. S1 S2 S3" with its own pseudo-words per class; the encoder is frozen, in the gradient path.

    For a generator the pseudo-words start as the class noun and stand in 27 sentences, as in the public protocol.
    """

    not_for_generators = None

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> SoftCaption:
        classes, tokens = len(prompt_inputs.phrases), prompt_inputs.settings.tokens_per_class
        class_slots = [[(k, n) for n in range(tokens)] for k in range(classes)]
        return SoftCaption.of_classes(
            class_slots=class_slots,
            stands_for_class=[[True] * tokens] * classes,
            vectors=random_vectors(prompt_inputs, prompt_inputs.text_encoder.width),
            prompt_inputs=prompt_inputs,
        )

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return name == "prompt.vectors"
