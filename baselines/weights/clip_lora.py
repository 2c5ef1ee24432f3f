"""CLIP-LoRA: low-rank weights beside query, key and value of both encoders (CVPR workshops 2024, arXiv 2405.18541).

Official code: MaxZanella/CLIP-LoRA 358f0d7, lora.py, run_utils.py, loralib. In every attention of both encoders
W x + b becomes W x + b + scale B A dropout(x) for q, k and v apart, with an own mask each; A (r, w) starts
Kaiming-uniform with a = sqrt 5, which is U(-1/sqrt w, 1/sqrt w), B (w, r) at zero, so that training begins at
zero-shot. r = 2, alpha = 1, dropout 0.25 on the low-rank branch alone. Texts are made anew at every step, of the set's
template. Cross-entropy, AdamW 2e-4, decay 0.01, batch 32, cosine step by step, 500 steps for each shot: 184,320 values
in ViT-B/16. `form` is the scale: `code` alpha / sqrt(r), `paper` alpha / r as the LoRA paper has it (arXiv 2106.09685).

What differs: at 16 shots the published 8000 steps; here `max_steps` says it for any number of shots, and the cosine
goes to 0 instead of 1e-6. The code's own path without dropout gives the lower blocks wrong gradients: not reproduced;
here dropout 0 is the same formula. Its weights are merged at test, which gives the same numbers: here they are not.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.text_prompts.kept_texts import KeptTexts
from cones.methods.classifier import Classifier, ClassifierInputs, ClassifierMethod, Recipe, choice
from cones.models.additions import add_module
from cones.models.dual_encoder import DualEncoder, scaled_cosines
from cones.models.missing_places import reason_against_image_tokens

METHOD = {
    "name": "clip_lora",
    "classifier": "CLIPLoRA",
    "not_for_detectors": "low-rank weights of both encoders; on detectors `lora`, in the attention of image encoder"
    " and fusion",
    "label": "CLIP-LoRA",
    "block": "weights",
    "has_vectors": False,
    "trains_image_encoder": True,
    "survey": {
        "paper": "CVPR workshops 2024, arXiv 2405.18541",
        "idea": "low-rank weights are added to the attention of both encoders",
        "attaches": "both encoders, query, key and value of every block",
        "trains": "two matrices of rank 2 for each: 184,320 values in ViT-B/16",
        "quirk": "the code scales by alpha / sqrt(r), the LoRA paper by alpha / r",
    },
}
PLACE = ".attn.projections"  # where the modules stand that make query, key and value at once
FORMS = ("code", "paper")


class LowRank(nn.Module):
    """Behind a module that makes q, k and v of x (B, L, w). down (3, r, w) are the A, up (3, w, r) the B."""

    def __init__(self, width: int, *, rank: int, scale: float, dropout: float, generator: torch.Generator):
        super().__init__()
        self.scale, self.dropout = scale, dropout
        self.down = nn.Parameter(width**-0.5 * (2 * torch.rand(3, rank, width, generator=generator) - 1))
        self.up = nn.Parameter(torch.zeros(3, width, rank))

    def dropped(self, hidden: Tensor, part: int) -> Tensor:
        """What the branch of q (0), k (1) or v (2) reads."""
        return F.dropout(hidden, self.dropout, self.training)

    def forward(self, output: Tensor, hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        parts = enumerate(zip(self.down, self.up))
        added = [F.linear(F.linear(self.dropped(hidden, part), down), up) for part, (down, up) in parts]
        return output + self.scale * torch.cat(added, dim=-1)  # (B, L, 3w)


class LowRankEncoders(Classifier):
    """Pixels and the tokens of K class texts through both encoders, whose additions alone train."""

    keeps_texts = True

    def __init__(self, encoder: DualEncoder, ids: Tensor, ends: Tensor, scale: float):
        super().__init__()
        self.encoder, self.scale = encoder.eval(), scale
        self.register_buffer("ids", ids)  # (K, L)
        self.register_buffer("ends", ends)  # (K,)
        self.kept = KeptTexts()

    def train(self, mode: bool = True) -> "LowRankEncoders":
        super().train(mode)
        self.encoder.eval()
        for module in self.low_rank():
            module.train(mode)
        return self

    def low_rank(self) -> list[LowRank]:
        return [module for module in self.encoder.modules() if isinstance(module, LowRank)]

    def class_texts(self) -> Tensor:
        """(K, d), not normalised; at test computed once for as long as no weight changes."""
        weights = (value for module in self.low_rank() for value in module.parameters())
        return self.kept.at_test(self, weights, self._texts)

    def _texts(self) -> Tensor:
        return self.encoder.encode_text(self.encoder.embed_text(self.ids), self.ends)

    def forward(self, images: Tensor) -> Tensor:
        return scaled_cosines(self.encoder.encode_image(images).pooled, self.class_texts(), self.scale)


class CLIPLoRA(ClassifierMethod):
    """Starts at zero-shot; the tuned text encoder serves any classes."""

    reads = frozenset({"image_encoder", "text_encoder"})
    unseen_classes = True
    recipe = Recipe(
        optimiser="adamw",
        learning_rate=2e-4,
        weight_decay=0.01,
        epochs=1_000_000,  # the number of steps ends it
        max_steps=8000,
        schedule="cosine_per_step",
        warmup_epochs=0,
        options={"rank": 2, "alpha": 1.0, "dropout": 0.25, "form": "code"},
    )

    def supports(self, model_name: str, setting: str) -> str | None:
        return reason_against_image_tokens(model_name)

    def classifier(self, inputs: ClassifierInputs) -> LowRankEncoders:
        own, encoder = self.options(inputs), inputs.encoder.requires_grad_(False)
        divisor = own["rank"] ** (0.5 if choice("form", own["form"], FORMS) == "code" else 1.0)
        places = [name for name, _ in encoder.named_modules() if name.endswith(PLACE)]
        for place in places:
            width = encoder.image_width if place.startswith(encoder.image_prefix) else encoder.text_width
            added = LowRank(
                width,
                rank=own["rank"],
                scale=own["alpha"] / divisor,
                dropout=own["dropout"],
                generator=inputs.generator,
            )
            add_module(encoder, place, "low_rank", added.to(encoder.logit_scale), changes="output")
        return self.of_classes(encoder, inputs)

    def for_classes(self, classifier: LowRankEncoders, inputs: ClassifierInputs) -> LowRankEncoders:
        return self.of_classes(classifier.encoder, inputs)

    def of_classes(self, encoder: DualEncoder, inputs: ClassifierInputs) -> LowRankEncoders:
        ids, ends = inputs.tokenizer([inputs.template.format(name) for name in inputs.names])
        device = encoder.logit_scale.device
        return LowRankEncoders(encoder, ids.to(device), ends.to(device), inputs.logit_scale)
