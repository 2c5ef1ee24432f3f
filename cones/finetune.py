"""ConES, stage 2: the concept embeddings of stage 1 are fixed and the rest of the detector trains (paper, eq. 6)."""

from cones.methods.method import PromptInputs, TuningMethod
from cones.methods.prompts import FixedPrompt, Prompt
from cones.models.detector import GroundedDetector

METHOD = {
    "name": "cones_finetuned",
    "class": "ConceptFinetuning",
    "label": "ConES (stage 2)",
    "block": "fine_tuning",
    "inputs": ["stage1"],
    "trains_image_encoder": True,
    "context": "cones.methods.contexts:FixedConceptContext",
}


class ConceptFinetuning(TuningMethod):
    """Everything but the embeddings trains; there is no text encoder to train. Of a generator its UNet trains."""

    not_for_generators = None

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> FixedPrompt:
        return FixedPrompt(prompt_inputs.concepts)

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return name.startswith("model.")

    def set_modes(self, model: GroundedDetector, prompt: Prompt) -> None:
        model.train()
