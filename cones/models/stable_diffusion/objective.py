"""The denoising objective every method shares: latents from a cached posterior, noise, timestep, squared error."""

from torch import Tensor, nn


def sampled_latents(parameters: Tensor, noise: Tensor, scaling: float) -> Tensor:
    """Latents (B, C, h, w) drawn from posteriors (B, 2C, h, w): `scaling (mean + std noise)`.

    The log variance is clipped to -30 … 20 as in the autoencoder's own distribution, so with equal noise this is what
    encoding the picture anew would give.
    """
    mean, log_variance = parameters.chunk(2, dim=1)
    return scaling * (mean + (0.5 * log_variance.clamp(-30, 20)).exp() * noise)


def denoising_loss(
    unet: nn.Module, scheduler, latents: Tensor, noise: Tensor, timesteps: Tensor, context: Tensor
) -> Tensor:
    """Squared error per sample (B,), mean over its elements, in float32.

    `context` (B, L, D) is all the UNet hears. The target is what the checkpoint's scheduler says: the noise (as in
    Stable Diffusion 1.5) or the velocity.
    """
    noisy = scheduler.add_noise(latents, noise, timesteps)
    found = unet(noisy, timesteps, encoder_hidden_states=context).sample
    if scheduler.config.prediction_type == "v_prediction":
        wanted = scheduler.get_velocity(latents, noise, timesteps)
    else:
        wanted = noise
    return (found.float() - wanted.float()).square().flatten(1).mean(1)
