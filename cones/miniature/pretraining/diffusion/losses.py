"""The loss of each stage, a function of the step's number: what it draws depends on nothing else."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cones.miniature.icon_classifier import answers, classification_loss
from cones.miniature.icons import Icon
from cones.miniature.painter import generator_of
from cones.miniature.pretraining.diffusion.parts import encoded, token_ids
from cones.miniature.pretraining.diffusion.pictures import scaled
from cones.miniature.pretraining.diffusion.recipe import CAPTIONS_LEFT_OUT, HELD_OUT, Stage
from cones.miniature.pretraining.diffusion.words import caption
from cones.models.stable_diffusion.objective import denoising_loss, sampled_latents
from cones.runtime.determinism import generator

KL_WEIGHT = 1e-4


def drawn(stage: Stage, name: str, step: int, count: int) -> tuple[list[int], torch.Generator]:
    """The numbers of a step's pictures, held-out ones never, and the generator that goes on from there."""
    random = generator("stage", name, stage.seed, step)
    return torch.randint(HELD_OUT, count, (stage.batch_size,), generator=random).tolist(), random


@dataclass
class AutoencoderLoss:
    """Half the absolute plus twice the squared error of a picture, plus a little divergence from N(0, 1)."""

    autoencoder: nn.Module
    pictures: Tensor
    stage: Stage

    def __call__(self, step: int) -> Tensor:
        numbers, random = drawn(self.stage, "autoencoder", step, len(self.pictures))
        wanted = scaled(self.pictures[numbers])
        posterior = self.autoencoder.encode(wanted).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=random)
        found = self.autoencoder.decode(posterior.mean + posterior.std * noise).sample
        divergence = posterior.kl().mean() / noise[0].numel()  # per latent value
        return 0.5 * F.l1_loss(found, wanted) + 2 * F.mse_loss(found, wanted) + KL_WEIGHT * divergence


@dataclass
class DenoiserLoss:
    """The denoising error under the caption's text states; the text encoder learns along.

    posteriors  (N, 2C, h, w) of all pictures, encoded once: drawn from anew at each step
    """

    unet: nn.Module
    text_encoder: nn.Module
    tokenizer: object
    scheduler: object
    posteriors: Tensor
    icons: list[Icon]
    scaling: float
    stage: Stage

    def __call__(self, step: int) -> Tensor:
        numbers, random = drawn(self.stage, "denoiser", step, len(self.posteriors))
        said = [self._caption(step, place, number) for place, number in enumerate(numbers)]
        states = self.text_encoder(token_ids(self.tokenizer, said)).last_hidden_state  # (B, L, D)
        parameters = self.posteriors[numbers].float()
        mean_shape = (len(numbers), parameters.shape[1] // 2, *parameters.shape[2:])
        latents = sampled_latents(parameters, torch.randn(mean_shape, generator=random), self.scaling)
        noise = torch.randn(latents.shape, generator=random)
        steps = self.scheduler.config.num_train_timesteps
        timesteps = torch.randint(steps, (len(numbers),), generator=random)
        return denoising_loss(self.unet, self.scheduler, latents, noise, timesteps, states).mean()

    def _caption(self, step: int, place: int, number: int) -> str:
        rng = generator_of(repr(("caption", self.stage.seed, step, place)))
        return "" if rng.uniform() < CAPTIONS_LEFT_OUT else caption(self.icons[number], rng)


@dataclass
class ClassifierLoss:
    """Half of each batch as painted, half through the autoencoder, with a little noise on all."""

    classifier: nn.Module
    autoencoder: nn.Module
    pictures: Tensor
    icons: list[Icon]
    stage: Stage

    def __call__(self, step: int) -> Tensor:
        numbers, random = drawn(self.stage, "classifier", step, len(self.pictures))
        shown = scaled(self.pictures[numbers])
        half = len(numbers) // 2
        shown[half:] = reconstructed(self.autoencoder, shown[half:])
        shown = shown + 0.05 * torch.randn(shown.shape, generator=random)
        return classification_loss(self.classifier(shown), answers([self.icons[number] for number in numbers]))


@torch.no_grad()
def reconstructed(autoencoder: nn.Module, pictures: Tensor, batch: int = 128) -> Tensor:
    """Through the autoencoder and back, at the posterior's mean; clipped to -1 … 1."""
    means = encoded(autoencoder, pictures).chunk(2, dim=1)[0]
    return torch.cat([autoencoder.decode(part).sample.clamp(-1, 1) for part in means.split(batch)])
