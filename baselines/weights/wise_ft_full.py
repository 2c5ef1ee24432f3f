"""WiSE-FT of all weights: between those before and after fine-tuning (CVPR 2022, arXiv 2109.01903).

Official code and what differs: `wise_ft.py`, whose head is here behind an image encoder that trains with it; a = 0.5,
the published default where none is chosen.

On a detector every value that the tuning of another arm has changed is (1 - alpha) of its base value plus alpha of its
tuned one; alpha is 0.5 (`options`). Nothing trains and nothing is chosen. Of full fine-tuning (`wise_ft_full`) the text
encoder is averaged too, and the start is zero-shot. Of stage 2 of ConES (`wise_ft_cones`, ours) the start is stage 1:
the base detector with the concept embeddings that stage 2 has fixed.
"""

import torch
from torch import Tensor, nn

from baselines.full_finetuning import FullFinetuning
from baselines.weights.wise_ft import Head, WiSEFT
from cones.methods.classifier import Choice, ClassifierInputs
from cones.methods.method import PromptInputs, TuningMethod
from cones.methods.prompts import FixedPrompt, Prompt
from cones.models.detector import GroundedDetector
from cones.runtime.errors import ConesError

METHOD = [
    {
        "name": "wise_ft_full",
        "class": "AveragedFinetuning",
        "classifier": "WiSEFTFull",
        "label": "WiSE-FT",
        "block": "weights",
        "inputs": ["text_encoder", "tuned"],
        "tuned_arm": "full_finetuning",
        "is_tuned": False,
        "has_vectors": False,
        "trains_image_encoder": True,
        "survey": {
            "paper": "CVPR 2022, arXiv 2109.01903",
            "idea": "a tuned model is mixed with its zero-shot start, weight by weight",
            "attaches": "image encoder, all weights; head",
            "trains": "the image encoder and a head",
            "quirk": "0.5 of each, the published default; survey_wise_ft shows every share on own and shifted images",
        },
    },
    {
        "name": "wise_ft_cones",
        "class": "AveragedStages",
        "label": "WiSE-FT between ConES's stages",
        "block": "weights",
        "inputs": ["tuned"],
        "tuned_arm": "cones_finetuned",
        "is_tuned": False,
        "has_vectors": False,
        "trains_image_encoder": True,
    },
]
OPTIONS = {"alpha": 0.5}


class Averaged(TuningMethod):
    """The values that `settings.tuned_arm` has trained, averaged with those they started from. The class behind this
    one makes the prompt and says what may train."""

    options = OPTIONS
    not_for_generators = "weights are averaged of detectors and classifiers alone"

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> Prompt:
        """Also puts the averages into the model."""
        alpha, settings = self.own(prompt_inputs.settings)["alpha"], prompt_inputs.settings
        if not 0 <= alpha <= 1:
            raise ConesError(
                "a share of weights is from 0 to 1", where=f"{settings.method}: options", found=f"alpha: {alpha}"
            )
        prompt = self.prompt_of_the_start(model, prompt_inputs)
        mix({"model": model, "prompt": prompt}, prompt_inputs, alpha)
        return prompt

    def prompt_of_the_start(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> Prompt:
        return super().prompt(model, prompt_inputs)


class AveragedFinetuning(Averaged, FullFinetuning):
    """On a detector: every weight and the text encoder's, between zero-shot and full fine-tuning."""


class AveragedStages(Averaged):
    """Between stage 1 and stage 2, which trains everything but the embeddings."""

    def prompt_of_the_start(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> FixedPrompt:
        return FixedPrompt(prompt_inputs.tuned.language)

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return name.startswith("model.")


@torch.no_grad()
def mix(parts: dict[str, nn.Module], prompt_inputs: PromptInputs, alpha: float) -> None:
    """Set every parameter or buffer of `parts` that was tuned to (1 - alpha) of itself plus alpha of its tuned value;
    ConesError for a tuned value that they do not have, which would be left out of the average."""
    own = {f"{part}.{name}": value for part, module in parts.items() for name, value in module.state_dict().items()}
    tuned = prompt_inputs.tuned.trained
    if unknown := sorted(set(tuned) - set(own)):
        raise ConesError(
            "the tuned arm has trained a value that the start does not have",
            where=f"{prompt_inputs.settings.method}: tuned_arm {prompt_inputs.settings.tuned_arm}",
            found=unknown[0],
            next_step="name an arm that trains the detector's own weights",
        )
    for name, end in tuned.items():
        own[name].copy_((1 - alpha) * own[name] + alpha * end.to(own[name]))


class WiSEFTFull(WiSEFT):
    """Image encoder and head train; a is not chosen, as validation images are stored as features of the frozen one."""

    reads = frozenset({"image_encoder"})
    selection = "none"

    def classifier(self, inputs: ClassifierInputs) -> Head:
        return Head(inputs.class_texts(), inputs.logit_scale, inputs.encoder)

    def chosen(self, head: Head, inputs: ClassifierInputs, start: dict[str, Tensor], end: dict[str, Tensor]) -> Choice:
        return Choice({"alpha": self.options(inputs)["alpha"]})
