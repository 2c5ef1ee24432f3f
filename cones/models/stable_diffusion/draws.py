"""What every method meets in the same order: view, flip, posterior noise, noise, timestep and template of each pass.

One named generator for each and for each pass, so nothing depends on the method or on where a run was interrupted.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from cones.models.stable_diffusion.prompts import TEMPLATES
from cones.models.stable_diffusion.settings import PROBES
from cones.runtime.determinism import generator

PROBE_BINS = 8


@dataclass(frozen=True)
class Draw:
    """A micro-batch: views (B,) into the 2 P views, noises (B, C, h, w), timesteps (B,), one template per sample."""

    views: list[int]
    posterior_noise: Tensor
    noise: Tensor
    timesteps: Tensor
    templates: list[str]


class PairedDraws:
    """`draws(p)` is pass p of a subject under a seed. Pictures are visited in permutations of all of them."""

    def __init__(self, *, pictures: int, latent_shape: tuple[int, int, int], timesteps: int, seed: int, batch: int = 1):
        self.pictures, self.latent_shape, self.timesteps = pictures, latent_shape, timesteps
        self.seed, self.batch = seed, batch

    def __call__(self, number: int) -> Draw:
        samples = [self._sample(number * self.batch + place) for place in range(self.batch)]
        views, posterior, noise, timesteps, templates = zip(*samples)
        return Draw(
            list(views), torch.stack(posterior), torch.stack(noise), torch.tensor(timesteps), [*map(str, templates)]
        )

    def _sample(self, number: int) -> tuple[int, Tensor, Tensor, int, str]:
        epoch, place = divmod(number, self.pictures)
        order = torch.randperm(self.pictures, generator=generator("order", self.seed, epoch))
        flipped = self._integer("flip", number, 2)
        return (
            int(order[place]) + self.pictures * flipped,
            torch.randn(self.latent_shape, generator=generator("posterior", self.seed, number)),
            torch.randn(self.latent_shape, generator=generator("noise", self.seed, number)),
            self._integer("timestep", number, self.timesteps),
            TEMPLATES[self._integer("template", number, len(TEMPLATES))],
        )

    def _integer(self, what: str, number: int, below: int) -> int:
        return int(torch.randint(below, (1,), generator=generator(what, self.seed, number)))


def probe_draws(*, views: int, latent_shape: tuple[int, int, int], timesteps: int, template: str) -> Draw:
    """The fixed probe set: PROBES (view, noise, timestep), timesteps stratified in 8 bins; the same for every seed."""
    random = generator("probe", views, timesteps)
    width = timesteps / PROBE_BINS
    inside = torch.rand(PROBES, generator=random)
    bins = torch.arange(PROBES) % PROBE_BINS
    return Draw(
        views=(torch.randperm(PROBES, generator=random) % views).tolist(),
        posterior_noise=torch.randn((PROBES, *latent_shape), generator=random),
        noise=torch.randn((PROBES, *latent_shape), generator=random),
        timesteps=((bins + inside) * width).long().clamp(max=timesteps - 1),
        templates=[template] * PROBES,
    )
