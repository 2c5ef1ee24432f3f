"""Prompt tuning (CoOp): N learnable context vectors before each class name, at the input of the frozen text encoder."""

from cones.methods.method import PromptInputs, TuningMethod
from cones.methods.prompts import SoftCaption, random_vectors
from cones.models.detector import GroundedDetector
from cones.models.language import clean_class_name

METHOD = {
    "name": "prompt_tuning",
    "class": "PromptTuning",
    "label": "Prompt tuning",
    "block": "peft",
    "inputs": ["text_encoder"],
    "start_std": "word",
}


class PromptTuning(TuningMethod):
    """Caption "V1 V2 V3 fish. V1 V2 V3 shark" with a context per class (paper, eq. 3); the name is the positive."""

    not_for_generators = "contexts beside the class name are not part of the paper's generation experiment"

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> SoftCaption:
        tokens = prompt_inputs.settings.tokens_per_class
        class_slots, stands_for_class = [], []
        for k, phrase in enumerate(prompt_inputs.phrases):
            pieces = prompt_inputs.tokenizer.encode(clean_class_name(phrase.name), add_special_tokens=False).ids
            class_slots.append([(k, n) for n in range(tokens)] + pieces)
            stands_for_class.append([False] * tokens + [True] * len(pieces))
        return SoftCaption.of_classes(
            class_slots=class_slots,
            stands_for_class=stands_for_class,
            vectors=random_vectors(prompt_inputs, prompt_inputs.text_encoder.width),
            prompt_inputs=prompt_inputs,
        )

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return name == "prompt.vectors"
