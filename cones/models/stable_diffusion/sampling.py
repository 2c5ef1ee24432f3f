"""Sampling with classifier-free guidance from any context, of whatever length."""

import copy
from math import lcm

import torch
from torch import Tensor, nn

from cones.runtime.devices import full_precision
from cones.runtime.progress import watched


def tiled_alike(conditional: Tensor, unconditional: Tensor) -> tuple[Tensor, Tensor]:
    """Both contexts (B, L, D) repeated whole to the least common length.

    Softmax attention does not change when the whole key sequence is repeated, so this is exact; the one batch of
    guidance needs equal lengths, and 1 and 77 rows become 77 and 77.
    """
    length = lcm(conditional.shape[1], unconditional.shape[1])
    return tuple(context.repeat(1, length // context.shape[1], 1) for context in (conditional, unconditional))


@torch.no_grad()
def denoised(
    unet: nn.Module,
    scheduler,
    noise: Tensor,
    context: Tensor,
    null: Tensor,
    *,
    guidance: float,
    steps: int,
    label: str = "sampling",
) -> Tensor:
    """Latents (B, C, h, w) from noise, by the scheduler in `steps` steps; contexts (B, L, D), lengths may differ.

    `guidance` 1 never looks at `null`. Guidance, which multiplies a difference, and the scheduler compute in float32,
    whatever the UNet does.
    """
    scheduler = copy.deepcopy(scheduler)  # it keeps the state of a run
    scheduler.set_timesteps(steps, device=noise.device)
    latents = noise * scheduler.init_noise_sigma
    guided = guidance != 1
    both = torch.cat(tiled_alike(context, null)[::-1]) if guided else context  # (2B, L, D), the null first
    for timestep in watched(scheduler.timesteps, label=label):
        entered = scheduler.scale_model_input(torch.cat([latents] * 2) if guided else latents, timestep)
        found = full_precision(unet(entered, timestep, encoder_hidden_states=both).sample)
        if guided:
            without, with_context = found.chunk(2)
            found = without + guidance * (with_context - without)
        latents = scheduler.step(found, timestep, latents).prev_sample
    return latents
