"""RePrompt: visual prompts whose answer is blended with that of similar training pictures (reconstruction).

Paper: "Retrieval-Enhanced Visual Prompt Learning for Few-shot Classification", Rong et al., arXiv 2306.02243. No public
code was found, and what the abstract says is all that is certain: a database of training pictures helps several stages
of a prompt baseline, and at inference similar samples are consulted. (Surveys that cite arXiv 2406.11132 under this
name mean another work, on planning with language models.)

Built here, after the stage at inference: VPT-deep, trained by cross-entropy as it is, and at test
p = blend * p_neighbours + (1 - blend) * p_prompted. Keys are the unit features of the few training pictures through the
frozen encoder, values their labels; the nearest `neighbours` keys of a picture vote with exp(-sharpness (1 - cosine)),
as in Tip-Adapter, and p_neighbours is their share. With blend 0 it is VPT-deep. 0.4 is RetroCoOp's blend
(zjunlp/PromptKG), 5.5 Tip-Adapter's sharpness; 16 neighbours are this project's.

Left out, as no source says how: tokens that are made of what was retrieved, and a training loss that the neighbours
weigh. A picture passes the encoder twice at test, with tokens and without.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.visual_prompts.vpt_deep import DeepTokens, VPTDeep
from cones.methods.classifier import ClassifierInputs
from cones.models.dual_encoder import unit
from cones.runtime.errors import ConesError

METHOD = {
    "name": "reprompt",
    "classifier": "RePrompt",
    "not_for_detectors": "retrieves training images by one vector of the whole image, which a detector does not"
    " compare with classes",
    "label": "RePrompt (reconstruction)",
    "block": "visual_prompts",
    "has_vectors": False,
    "survey": {
        "paper": "arXiv 2306.02243",
        "idea": "the answer of VPT-deep is blended with the labels of similar training pictures",
        "attaches": "image encoder, every block; answer",
        "trains": "the tokens of VPT-deep",
        "quirk": "reconstruction: no public code; only the blend at inference is built",
    },
}


class BlendedWithNeighbours(DeepTokens):
    """In eval mode logits are log probabilities of the blend. keys (n, d) unit, values (n, K) one-hot."""

    def __init__(self, *parts, keys: Tensor, values: Tensor, own: dict, **others):
        super().__init__(*parts, **others)
        self.neighbours, self.sharpness, self.blend = (own[name] for name in ("neighbours", "sharpness", "blend"))
        self.register_buffer("keys", keys)
        self.register_buffer("values", values)

    def of_neighbours(self, images: Tensor) -> Tensor:
        """Pixels -> (B, K) the share of each class among the votes of the nearest keys."""
        cosines = unit(self.encoder.encode_image(images).pooled) @ self.keys.T  # (B, n)
        nearest, rows = cosines.topk(min(self.neighbours, len(self.keys)))
        votes = (-self.sharpness * (1 - nearest)).softmax(-1)[..., None]  # a softmax is exp, divided by its sum
        return (votes * self.values[rows]).sum(1)

    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images)
        if self.training or not self.blend:
            return logits
        mixed = self.blend * self.of_neighbours(images) + (1 - self.blend) * logits.softmax(-1)
        return mixed.clamp(min=torch.finfo(mixed.dtype).tiny).log()


class RePrompt(VPTDeep):
    """Classes without a training image have no neighbours."""

    unseen_classes = False
    label_note = "a reconstruction: no public code; only the blend at inference is built"
    recipe = VPTDeep.recipe.model_copy(
        update={"options": {**VPTDeep.recipe.options, "neighbours": 16, "sharpness": 5.5, "blend": 0.4}}
    )

    def made(self, inputs: ClassifierInputs, tokens: Tensor) -> BlendedWithNeighbours:
        images, own, classes = inputs.train, self.options(inputs), len(inputs.names)
        if images.features.pooled.shape[-1] != inputs.encoder.width:
            raise ConesError(
                "RePrompt needs the stored features of the training images",
                expected=f"{inputs.encoder.width} numbers an image",
                found=images.features.pooled.shape[-1],
                next_step="encode pooled",
            )
        return BlendedWithNeighbours(
            *(inputs.encoder, inputs.class_texts(), inputs.logit_scale, tokens),
            before_first_norm=own["form"] == "maple",
            keys=unit(images.features.pooled),
            values=F.one_hot(images.labels, classes).to(images.features.pooled),
            own=own,
        )

    def for_classes(self, classifier: BlendedWithNeighbours, inputs: ClassifierInputs) -> None:
        return None
