"""Bias-only tuning: of a detector only the biases train, class names as they are (BitFit, ACL 2022, arXiv 2106.10199).

Official code: benzakenelad/BitFit, run_glue.py, for text classifiers; a plain row beside adapters and prompts here. A
parameter is a bias if the last part of its name begins with "bias"; those that a model freezes for every method stay.
"""

from cones.methods.method import PromptInputs, TuningMethod
from cones.methods.prompts import FixedPrompt
from cones.models.detector import GroundedDetector

METHOD = {
    "name": "bias_only",
    "class": "BiasOnly",
    "label": "Biases only",
    "block": "weights",
    "inputs": ["text_states"],
    "has_vectors": False,
    "trains_image_encoder": True,
}


class BiasOnly(TuningMethod):
    """The detector's biases train; the text encoder has run once and receives no gradient."""

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> FixedPrompt:
        return FixedPrompt(prompt_inputs.text_states)

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return name.startswith("model.") and name.rpartition(".")[2].startswith("bias")
