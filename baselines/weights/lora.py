"""LoRA on detectors: low-rank weights in the attention of image encoder and fusion (ICLR 2022, arXiv 2106.09685).

Every linear layer W (out, in) that makes queries, keys, values or outputs of the attention inside the image encoder and
of the fusion becomes W + scale B A, A (r, in), B (out, r). A starts Kaiming-uniform with a = sqrt 5, which is
U(-1/sqrt in, 1/sqrt in), B at zero, so that training begins at zero-shot. microsoft/LoRA has no detector; the start and
the scale alpha / sqrt(r), alpha = 1, are those of CLIP-LoRA (MaxZanella/CLIP-LoRA 358f0d7, lora.py, loralib), the same
idea on models with two encoders (clip_lora.py).

Mapped: one B A for the layer that makes q, k and v at once, where CLIP-LoRA has three; outputs as well, which it leaves
alone; r so that the number of trained values is nearest to that of ConES. No dropout, as in every tuning of detectors;
then adding B A to the weight is the same formula as a branch beside the layer. Text encoder and heads rest.
"""

import torch
from torch import Tensor, nn

from baselines.equal_budget import parts_of_equal_budget
from cones.methods.method import PromptInputs, TuningMethod
from cones.methods.prompts import FixedPrompt
from cones.models.additions import add_to_weight
from cones.models.detector import GroundedDetector
from cones.models.missing_places import reason_against_low_rank

METHOD = {
    "name": "lora",
    "class": "LowRankProjections",
    "label": "LoRA",
    "block": "weights",
    "inputs": ["text_states"],
    "has_vectors": False,
    "trains_image_encoder": True,
    "survey": {
        "paper": "ICLR 2022, arXiv 2106.09685; no code for detectors",
        "idea": "low-rank weights are added to the attention of a detector's image encoder and fusion",
        "attaches": "image encoder, every block; fusion",
        "trains": "two matrices for each projection, of the rank that gives about as many values as ConES has",
        "quirk": "scale alpha / sqrt(r), as CLIP-LoRA's code; detectors alone, on CLIP it is CLIP-LoRA",
    },
}
ALPHA = 1.0


class LowRankWeight(nn.Module):
    """weight (out, in) -> weight + scale up down; down (r, in), up (out, r) from zero."""

    def __init__(self, layer: nn.Linear, *, rank: int, generator: torch.Generator):
        super().__init__()
        self.scale = ALPHA / rank**0.5
        down = layer.in_features**-0.5 * (2 * torch.rand(rank, layer.in_features, generator=generator) - 1)
        self.down = nn.Parameter(down.to(layer.weight))
        self.up = nn.Parameter(layer.weight.new_zeros(layer.out_features, rank))

    def forward(self, weight: Tensor) -> Tensor:
        return weight + self.scale * (self.up @ self.down)


class LowRankProjections(TuningMethod):
    """The low-rank weights train; the text encoder has run once and receives no gradient."""

    unseen_classes = True

    def supports(self, model_name: str) -> str | None:
        return super().supports(model_name) or reason_against_low_rank(model_name)

    def extend(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> None:
        layers = {place: model.get_submodule(place) for place in model.attention_projections}
        values = sum(layer.in_features + layer.out_features for layer in layers.values())
        rank = parts_of_equal_budget(model, values, what="ranks")
        for place, layer in layers.items():
            add_to_weight(model, place, LowRankWeight(layer, rank=rank, generator=prompt_inputs.generator))

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> FixedPrompt:
        return FixedPrompt(prompt_inputs.text_states)

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return name.endswith((".weight.0.down", ".weight.0.up"))
