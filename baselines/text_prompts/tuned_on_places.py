"""TPT on detectors: a step on the context for each test image (NeurIPS 2022, arXiv 2209.07511; code: `tpt.py`).

The caption says "a photo of a" before every name; these four vectors take one step of AdamW (5e-3, decay 0.01) on each
test image, towards sure answers, and start afresh for the next. An image's places (points of its maps, queries) stand
for the views of an image: of the tenth with the highest class probability the mean entropy falls, an entropy being that
of every class's own probability, summed, as a detector's classes do not exclude one another. Nothing is averaged before
the entropy is taken: places show different objects. No augmented view is made, as features are those of one picture.
Without a step it is zero-shot of that caption.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from baselines.text_prompts.caption import caption_with_context
from baselines.text_prompts.context import WORDS
from cones.data.pyramids import split_batch
from cones.methods.method import PromptInputs, TuningMethod
from cones.methods.places import class_logits
from cones.methods.prompts import SoftCaption
from cones.models.detector import Detections, FeaturePyramid, GroundedDetector
from cones.models.missing_places import reason_against_scored_places


class TunedOnPlaces(TuningMethod):
    """Nothing trains beforehand; the text encoder runs twice for each image, once with its gradient."""

    def supports(self, model_name: str) -> str | None:
        return super().supports(model_name) or reason_against_scored_places(model_name)

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> SoftCaption:
        own, encoder = self.own(prompt_inputs.settings), prompt_inputs.text_encoder
        words = torch.tensor(prompt_inputs.tokenizer.encode(WORDS, add_special_tokens=False).ids)
        vectors = encoder.embeddings.word_embeddings(words).detach()[None]  # (1, M, D)
        caption = caption_with_context(prompt_inputs, vectors)
        for name in ("share", "steps", "rate", "decay"):
            setattr(caption, name, own[name])
        return caption

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return False

    def detect(self, model: GroundedDetector, prompt: SoftCaption, pyramid: FeaturePyramid) -> list[Detections]:
        found = []
        for image in split_batch(pyramid):
            vectors = tuned(model, prompt, image)
            found += model.detect(model.ground(image, prompt.with_vectors(vectors[None])))
        return found


@torch.enable_grad()
def tuned(model: GroundedDetector, prompt: SoftCaption, image: FeaturePyramid) -> Tensor:
    """The context (1, M, D) after its steps on one image."""
    vectors = prompt.vectors.detach().clone().requires_grad_()
    optimiser = torch.optim.AdamW([vectors], lr=prompt.rate, weight_decay=prompt.decay)
    for _ in range(prompt.steps):
        predictions = model.ground(image, prompt.with_vectors(vectors[None]))
        logits = class_logits(model.scored_places(predictions), predictions.language.class_positions)
        vectors.grad = torch.autograd.grad(doubt(logits[0].float(), prompt.share), vectors)[0]
        optimiser.step()
    return vectors.detach()


def doubt(logits: Tensor, share: float) -> Tensor:
    """Logits (P, K) -> the mean over the surest places of the summed entropies of their classes. The surest are a share
    of all places, rounded down, one at least: those with the highest class logit."""
    surest = logits.detach().amax(dim=1).topk(max(1, int(len(logits) * share))).indices
    chosen = logits[surest]  # (P', K)
    entropy = F.binary_cross_entropy_with_logits(chosen, chosen.sigmoid(), reduction="none")
    return entropy.sum(dim=1).mean()
