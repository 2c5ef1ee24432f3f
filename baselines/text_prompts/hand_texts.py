"""LASP's loss between texts, and LASP on detectors (CVPR 2023, arXiv 2210.01115; code and values: `lasp.py`).

On a detector a class is the mean of the encoder's output over the rows of its name, in the caption with the context and
in each of the 35 hand texts, which are read alone, each class by itself, once. The correction w (D, zeros) is added to
every row that stands for a class. The term stands beside the detector's losses with the code's weight, noise and the
temperature 1/100 that CLIP has learnt; a detector's own belongs to another space. Norms of the image encoder do not
train: they are LASP's second half, a method of the image side.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.text_prompts.coop import SharedContext
from cones.methods.method import PromptInputs
from cones.methods.places import images_in
from cones.methods.prompts import CaptionPrompt, Prompt, PromptContext, SoftCaption, encode_caption
from cones.models.detector import GroundedDetector, Predictions, Target
from cones.models.dual_encoder import unit
from cones.models.language import ClassPhrase, LanguageFeatures, clean_class_name
from cones.models.losses import LossTerm, LossTerms
from cones.runtime.devices import float32_product

WEIGHT, NOISE, NOISE_SHARE, SCALE = 5.0, 0.05, 0.5, 100.0


def between_texts(texts: Tensor, hand: Tensor, scale: float) -> Tensor:
    """Mean cross-entropy of hand-written texts (T, names, d) among learned ones (names, d)."""
    logits = scale * float32_product(hand.flatten(0, 1), unit(texts).T)  # (T names, names)
    return F.cross_entropy(logits, torch.arange(len(texts), device=texts.device).repeat(len(hand)))


def with_noise(hand: Tensor, noise: float, share: float) -> Tensor:
    """Noise on everything in a share of the training's steps, each of which seeds PyTorch's generator: all parts of a
    batch get the same."""
    of_step = torch.Generator().manual_seed(torch.initial_seed())
    if torch.rand((), generator=of_step).item() >= share:
        return hand
    return hand + noise * torch.randn(hand.shape, generator=of_step).to(hand)


class CorrectedCaption(Prompt):
    """CoOp's caption with a correction on the rows of the names; hand (T, K, D), unit."""

    def __init__(self, caption: SoftCaption, hand: Tensor):
        super().__init__()
        self.caption = caption
        self.correction = nn.Parameter(torch.zeros(hand.shape[-1]))
        self.register_buffer("hand", hand, persistent=False)

    def forward(self, context: PromptContext) -> LanguageFeatures:
        language = self.caption(context)
        of_names = language.class_positions.any(dim=1)[..., None]  # (B, L, 1)
        return replace(language, hidden=language.hidden + of_names * self.correction)


class BesideHandTexts(SharedContext):
    """The context of CoOp and the correction train; `templates` are the hand texts, with "{}" for the name."""

    templates: Sequence[str]

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> CorrectedCaption:
        return CorrectedCaption(super().prompt(model, prompt_inputs), hand_texts(prompt_inputs, self.templates))

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return name in ("prompt.caption.vectors", "prompt.correction")

    def loss_terms(
        self, model: GroundedDetector, prompt: CorrectedCaption, predictions: Predictions, targets: list[Target]
    ) -> LossTerms:
        """The term does not depend on the images: its share goes with those of a part of the batch."""
        hand = with_noise(prompt.hand, NOISE, NOISE_SHARE)
        loss = between_texts(predictions.language.class_means()[0].float(), hand, SCALE)
        return {"between_texts": LossTerm(WEIGHT * loss * len(targets), images_in(targets))}

    def normalisers(self, targets: list[Target], size: tuple[int, int]) -> dict[str, Tensor]:
        return {"between_texts": images_in(targets)}


@torch.no_grad()
def hand_texts(prompt_inputs: PromptInputs, templates: Sequence[str]) -> Tensor:
    """(T, K, D), unit: the mean row of each name in each template, in a text of its own."""
    names = [clean_class_name(phrase.name) for phrase in prompt_inputs.phrases]
    found = []
    for before, _, after in (template.partition("{}") for template in templates):
        for name in names:
            encoded = encode_caption(prompt_inputs.tokenizer, [ClassPhrase(name, before, after)])
            found.append(CaptionPrompt(prompt_inputs.text_encoder, encoded)(PromptContext()).class_means()[0, 0])
    return unit(torch.stack(found)).unflatten(0, (len(templates), len(names)))
