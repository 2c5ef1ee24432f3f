"""Prompt tuning (CoOp): N learnable context vectors before each class name, at the input of the frozen text encoder."""

from baselines.text_prompts.caption import caption_with_context
from cones.methods.method import PromptInputs, TuningMethod
from cones.methods.prompts import SoftCaption, random_vectors
from cones.models.detector import GroundedDetector

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
        return caption_with_context(prompt_inputs, random_vectors(prompt_inputs, prompt_inputs.text_encoder.width))

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return name == "prompt.vectors"
