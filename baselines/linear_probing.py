"""Linear probing: class names as in zero-shot; only the heads' last projections train."""

from cones.methods.method import PromptInputs, TuningMethod
from cones.methods.prompts import FixedPrompt, Prompt
from cones.models.detector import GroundedDetector

METHOD = {
    "name": "linear_probing",
    "class": "LinearProbing",
    "label": "Linear probing",
    "block": "peft",
    "inputs": ["text_states"],
    "has_vectors": False,
}


class LinearProbing(TuningMethod):
    """Image encoder frozen, in eval mode; head in train mode, its dropouts active."""

    not_for_generators = "the UNet's output is the picture itself: there is no head to probe"

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> FixedPrompt:
        return FixedPrompt(prompt_inputs.text_states)

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return name.removeprefix("model.") in model.projections

    def set_modes(self, model: GroundedDetector, prompt: Prompt) -> None:
        model.train()
        for module in model.image_encoder():
            module.eval()
