"""SDPT: prototype tokens in the fusion of image and text, seen from both sides (ECCV 2024, arXiv 2407.11414).

Official code: wuyongjianCODE/SDPT 9fcf0ec, maskrcnn_benchmark/utils/fuse_helper.py (`BiMultiHeadAttention`,
`get_inverse`, vpt_only = -4), modeling/rpn/vldyhead.py, config/defaults.py. Every fusion has n tokens z of the width of
its attention, from U(-1, 1), which alone train. A token is a row (z - b) pinv(W) of the image, W and b those of the
layer that makes the image's queries, and one of the text by the layer that makes the text's keys: so that both layers
give z again, as far as their rank goes. These rows stand behind the normed rows of image and text and are dropped
behind the attention. Pseudo-inverses are of the frozen weights and do not train.

Two forms, as code and paper differ. In the code the tokens' rows of the text get the mask of padding (`cpt_maskpad`, of
zeros), so that the image never looks at them and only the text attends to tokens: `sdpt`. In the paper both sides see
them: `sdpt_paper`. The code's n is 100 by default and 700 in its README; here the one whose values are nearest to
ConES's: 16 for each of six fusions 2048 wide. Budget and rate are those of all methods.
"""

import torch
from torch import Tensor, nn

from baselines.equal_budget import parts_of_equal_budget
from cones.methods.method import PromptInputs, TuningMethod
from cones.methods.prompts import FixedPrompt
from cones.models.additions import add_module
from cones.models.detector import GroundedDetector
from cones.models.missing_places import reason_against_fusion_tokens

METHOD = [
    {
        "name": "sdpt",
        "class": "PrototypesForText",
        "label": "SDPT",
        "block": "joint_prompts",
        "inputs": ["text_states"],
        "has_vectors": False,
        "survey": {
            "paper": "ECCV 2024, arXiv 2407.11414",
            "idea": "one set of tokens in the space of the fusion, mapped back to image and text by fixed inverses",
            "attaches": "fusion, every layer",
            "trains": "n tokens for each fusion, as many values as ConES has",
            "quirk": "beyond the survey, of detectors alone. The code's mask hides the text's tokens from the image",
        },
    },
    {
        "name": "sdpt_paper",
        "class": "PrototypesForBoth",
        "label": "SDPT (paper)",
        "block": "joint_prompts",
        "inputs": ["text_states"],
        "has_vectors": False,
        "survey": {
            "paper": "ECCV 2024, arXiv 2407.11414",
            "idea": "SDPT as its paper describes it: the image attends to the tokens as well",
            "attaches": "fusion, every layer",
            "trains": "as SDPT",
            "quirk": "beyond the survey, of detectors alone; not the form of the published code",
        },
    },
]


class Prototypes(nn.Module):
    """Inputs of a fusion -> the same with the rows of tokens (n, inner) behind those of the image, and of the text if
    `both`."""

    def __init__(self, fusion: nn.Module, tokens: Tensor, *, both: bool):
        super().__init__()
        self.tokens, self.both = nn.Parameter(tokens), both
        for side, layer in (("image", fusion.v_proj), ("text", fusion.l_proj)):
            inverse = torch.linalg.pinv(layer.weight.detach().double().T).to(layer.weight)  # (inner, width)
            self.register_buffer(f"{side}_inverse", inverse, persistent=False)
            self.register_buffer(f"{side}_bias", layer.bias.detach().clone(), persistent=False)

    def forward(
        self, visual: Tensor, text: Tensor, mask: Tensor | None, visual_mask: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor | None]:
        visual = joined(visual, (self.tokens - self.image_bias) @ self.image_inverse)
        visual_mask = None if visual_mask is None else seen(visual_mask, len(self.tokens))
        if self.both:
            text = joined(text, (self.tokens - self.text_bias) @ self.text_inverse)
            mask = None if mask is None else seen(mask, len(self.tokens))
        return visual, text, mask, visual_mask


class Dropped(nn.Module):
    """What a fusion gives -> the same without the rows of n tokens."""

    def __init__(self, count: int, *, both: bool):
        super().__init__()
        self.count, self.both = count, both

    def forward(self, changes: tuple[Tensor, Tensor], *inputs: Tensor | None) -> tuple[Tensor, Tensor]:
        visual, text = changes
        return visual[:, : -self.count], text[:, : -self.count] if self.both else text


def joined(rows: Tensor, added: Tensor) -> Tensor:
    """rows (B, V, C), added (n, C) -> (B, V + n, C)."""
    return torch.cat([rows, added.to(rows.dtype).expand(len(rows), -1, -1)], dim=1)


def seen(mask: Tensor, count: int) -> Tensor:
    """mask (B, V) bool -> (B, V + count), True for what is added."""
    return nn.functional.pad(mask, (0, count), value=True)


class PrototypesForText(TuningMethod):
    """The tokens train; the text encoder has run once, and image features are shared."""

    unseen_classes = True

    both = False

    def supports(self, model_name: str) -> str | None:
        return super().supports(model_name) or reason_against_fusion_tokens(model_name)

    def extend(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> None:
        fusions = {place: model.get_submodule(place) for place in model.fusions}
        values = sum(fusion.v_proj.out_features for fusion in fusions.values())
        count = parts_of_equal_budget(model, values, what="tokens of each fusion")
        for place, fusion in fusions.items():
            drawn = torch.rand(count, fusion.v_proj.out_features, generator=prompt_inputs.generator)
            tokens = Prototypes(fusion, 2 * drawn - 1, both=self.both)
            add_module(model, place, "prototypes", tokens, changes="input")
            add_module(model, place, "dropped", Dropped(count, both=self.both), changes="output")

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> FixedPrompt:
        return FixedPrompt(prompt_inputs.text_states)

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return name.endswith(".prototypes.tokens")


class PrototypesForBoth(PrototypesForText):
    """The same in the paper's form."""

    both = True
