"""Variational prompts on detectors (ICCV 2023, arXiv 2210.02390; code and values: `variational.py`).

A random vector r is added to the N context vectors that all classes share: r = mu(x) + eps exp(l(x) / 2), x the mean of
an image's maps made unit, mu and l the published networks (C, C/2, C/2, D). This is the paper's form; the published
scripts have a posterior that does not look at the image. A training step draws eps once for each image. At test the
caption is read with each of 10 draws, which are made once for all images, and the detector hears the mean of their
states: its places depend on what it hears, so that the probabilities of several passes have no common places to be
averaged at. The loss has 0.001 KL beside the detector's terms.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from baselines.text_prompts.coop import SharedContext
from baselines.text_prompts.posteriors import ImagePosterior, divergence
from cones.methods.method import PromptInputs
from cones.methods.places import images_in
from cones.methods.prompts import Prompt, PromptContext, SoftCaption
from cones.models.detector import FeaturePyramid, GroundedDetector, Predictions, Target
from cones.models.dual_encoder import unit
from cones.models.language import LanguageFeatures
from cones.models.losses import LossTerm, LossTerms

OPTIONS = {"draws": 10, "weight": 1e-3}


class RandomCaption(Prompt):
    """The caption of CoOp with a random vector on its context: one draw in train mode, the mean over `draws` (S, D) in
    eval mode."""

    is_static = False

    def __init__(
        self,
        caption: SoftCaption,
        posterior: ImagePosterior,
        pooled: Callable[[FeaturePyramid], Tensor],
        *,
        draws: Tensor,
        weight: float,
    ):
        super().__init__()
        self.caption, self.posterior, self.pooled, self.weight = caption, posterior, pooled, weight
        self.register_buffer("draws", draws)

    def distribution(self, pyramid: FeaturePyramid) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance, (B, D) each."""
        return self.posterior(unit(self.pooled(pyramid)))

    def forward(self, context: PromptContext) -> LanguageFeatures:
        mean, log_variance = self.distribution(context.pyramid)
        draws = self.draws[:, None]  # (S, 1, D)
        if self.training:  # PyTorch's own generator, which the training seeds at each step
            draws = torch.randn(1, *mean.shape).to(mean)
        added = mean + draws * (log_variance / 2).exp()  # (S, B, D)
        vectors = self.caption.vectors + added[:, :, None, None]  # (S, B, 1, N, D)
        language = self.caption.with_vectors(vectors.flatten(0, 1))
        images = len(mean)
        hidden = language.hidden.unflatten(0, (-1, images)).mean(dim=0)  # (B, L, D)
        phrases = None if language.phrases is None else language.phrases[:images]
        return LanguageFeatures(hidden, language.mask[:images], language.class_positions[:images], phrases)


class RandomContextOfImage(SharedContext):
    """Context and posterior train; the text encoder reads captions for each image, at test too."""

    options = OPTIONS

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> RandomCaption:
        caption, own = super().prompt(model, prompt_inputs), self.own(prompt_inputs.settings)
        width, generator = caption.vectors.shape[-1], prompt_inputs.generator
        posterior = ImagePosterior(model.map_width, width, generator)
        draws = torch.randn(own["draws"], width, generator=generator)
        return RandomCaption(caption, posterior, model.pooled, draws=draws, weight=own["weight"])

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return name == "prompt.caption.vectors" or name.startswith("prompt.posterior.")

    def set_modes(self, model: GroundedDetector, prompt: RandomCaption) -> None:
        super().set_modes(model, prompt)
        prompt.training = True  # of itself alone: the encoder's dropout stays off

    def loss_terms(
        self, model: GroundedDetector, prompt: RandomCaption, predictions: Predictions, targets: list[Target]
    ) -> LossTerms:
        away = divergence(*prompt.distribution(predictions.pyramid)).sum()
        return {"divergence": LossTerm(prompt.weight * away, images_in(targets))}

    def normalisers(self, targets: list[Target], size: tuple[int, int]) -> dict[str, Tensor]:
        return {"divergence": images_in(targets)}
