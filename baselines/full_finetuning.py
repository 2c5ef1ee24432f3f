"""Full fine-tuning: class names, and everything trains, the text encoder included."""

from cones.methods.method import PromptInputs, TuningMethod
from cones.methods.prompts import CaptionPrompt, Prompt, encode_caption
from cones.models.detector import GroundedDetector

METHOD = {
    "name": "full_finetuning",
    "class": "FullFinetuning",
    "label": "Full fine-tuning",
    "block": "fine_tuning",
    "inputs": ["text_encoder"],
    "has_vectors": False,
    "trains_image_encoder": True,
}


class FullFinetuning(TuningMethod):
    """Trains everything but what the model freezes for every method (its stem and first stage)."""

    not_for_generators = "training the whole UNet for one subject is DreamBooth, which the paper does not run"

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> CaptionPrompt:
        return CaptionPrompt(prompt_inputs.text_encoder, encode_caption(prompt_inputs.tokenizer, prompt_inputs.phrases))

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return True

    def set_modes(self, model: GroundedDetector, prompt: Prompt) -> None:
        model.train()
        prompt.train()
