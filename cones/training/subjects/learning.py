"""Learning a subject, for every method: the same draws, budget, accumulation and optimiser.

AdamW on the method's vectors alone, on the mean gradient of several passes. What is random is named after its pass, so
an interrupted run resumes to the same numbers.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

import torch
from torch import Tensor, nn

from cones.methods.contexts import Context
from cones.models.stable_diffusion.draws import Draw, PairedDraws
from cones.models.stable_diffusion.objective import denoising_loss, sampled_latents
from cones.models.stable_diffusion.settings import SubjectTuning
from cones.runtime.devices import mixed_precision, peak_memory_bytes
from cones.runtime.progress import log
from cones.runtime.provenance import settings_digest
from cones.training.loop import Progress, TrainingLoop

WARM_UP_PASSES = 20  # not timed
PROBE_BATCH = 8


@dataclass
class LearningRun(Progress):
    """Where the learning of a subject stands. Losses are means per optimiser step."""

    losses: list[float] = field(default_factory=list)
    probes: list[dict[str, float]] = field(default_factory=list)  # step, loss, norm of the vectors
    plateau_step: int | None = None


class SubjectLearner(TrainingLoop):
    """Trains `context.vectors` against the frozen UNet, or the UNet with fixed vectors where the context says so, and
    leaves what it trained as it is after the last step."""

    progress: LearningRun
    smallest_part = "one pass's draws"

    def __init__(
        self,
        *,
        unet: nn.Module,
        scheduler,
        context: Context,
        latents_of: Callable[[Draw], Tensor],
        draws: PairedDraws,
        probe: Draw,
        tuning: SubjectTuning,
        inputs: str,
        checkpoint: Path,
        on_step: Callable[[int], None] = lambda step: None,
    ):
        """latents_of  the latents (B, C, h, w) of a draw's views: `CachedLatents`, or by encoding them anew
        inputs      digests what the run depends on besides `tuning`: subject, method, seed, weights
        on_step     called after each optimiser step with the number of finished ones, outside the time taken
        """
        self.unet, self.scheduler, self.context, self.latents_of = unet, scheduler, context, latents_of
        self.draws, self.probe, self.tuning, self.on_step = draws, probe, tuning, on_step
        self.untimed_steps = ceil(WARM_UP_PASSES / tuning.accumulation)
        trained = dict(unet.named_parameters()) if context.trains_unet else {"vectors": context.vectors}
        super().__init__(
            trained=trained,
            optimiser=torch.optim.AdamW(
                trained.values(), lr=tuning.learning_rate, betas=(0.9, 0.999), weight_decay=tuning.weight_decay
            ),
            progress=LearningRun(),
            checkpoint=checkpoint,
            identity=settings_digest([tuning.model_dump(mode="json"), inputs, list(context.vectors.shape)]),
            device=next(unet.parameters()).device,
            where=checkpoint.parent,
            precision=tuning.precision,
        )

    def run(self) -> LearningRun:
        self.resume()
        if not self.progress.probes:
            self._probe()
        self.train(self.batches(), label="optimiser steps", total=self.tuning.steps - self.progress.step)
        return self.progress

    def record(self) -> dict:
        """What all methods record of how learning went."""
        run, accumulation = self.progress, self.tuning.accumulation
        vectors, trained = self.context.vectors, sum(parameter.numel() for parameter in self.trained.values())
        timed_passes = run.timed_steps * accumulation
        return {
            "optimiser_steps": run.step,
            "passes": run.step * accumulation,
            "seconds": run.seconds,
            "timed_passes": timed_passes,
            "seconds_per_pass": run.seconds / timed_passes if timed_passes else None,
            "loss_curve": run.losses,
            "probe_curve": run.probes,
            "plateau_step": run.plateau_step,
            "precision": self.precision,
            "skipped_steps": run.skipped_steps,
            "peak_memory_bytes": peak_memory_bytes(self.device),
            "trained_values": trained,
            "stored_bytes": vectors.numel() * vectors.element_size() + (2 * trained if self.context.trains_unet else 0),
        }

    # ------------------------------------------------------------------------------------------------ one step

    def batches(self) -> Iterator[range]:
        """The numbers of the passes of each optimiser step that is left, until the plateau if the settings say so."""
        run, accumulation = self.progress, self.tuning.accumulation
        while run.step < self.tuning.steps and not (self.tuning.stop_at_plateau and run.plateau_step is not None):
            yield range(run.step * accumulation, (run.step + 1) * accumulation)

    def parts(self, batch: range) -> range:
        """A pass is a part; all passes have as many samples, so that the loss is the mean over passes."""
        return batch

    def losses(self, part: int, normalisers: dict[str, Tensor] | None) -> dict[str, Tensor]:
        return {"loss": self.denoising_errors(self.draws(part)).mean() / self.tuning.accumulation}

    def denoising_errors(self, draw: Draw) -> Tensor:
        """The denoising error of each sample of a draw (B,)."""
        with mixed_precision(self.device, self.precision):
            return denoising_loss(
                self.unet,
                self.scheduler,
                self.latents_of(draw),
                draw.noise.to(self.device),
                draw.timesteps.to(self.device),
                self.context(draw.templates),
            )

    def after_step(self, losses: dict[str, float]) -> None:
        run = self.progress
        run.losses.append(round(losses["loss"], 6))
        if run.step % self.tuning.probe_every == 0 or run.step == self.tuning.steps:
            self._probe()
        self.on_step(run.step)

    # --------------------------------------------------------------------------------------- probe and plateau

    @torch.no_grad()
    def _probe(self) -> None:
        """The error on the fixed probe set, and whether it has stopped falling."""
        run = self.progress
        losses = torch.cat([self.denoising_errors(part) for part in _parts(self.probe, PROBE_BATCH)])
        norm = self.context.vectors.norm(dim=-1).mean().item()
        run.probes.append({"step": run.step, "loss": round(losses.mean().item(), 6), "norm": round(norm, 4)})
        if run.plateau_step is None:
            run.plateau_step = plateau(run.probes, self.tuning.plateau_steps, self.tuning.plateau_gain)
        log.info("step %d: probe loss %.5f, norm of the vectors %.2f", run.step, run.probes[-1]["loss"], norm)


class CachedLatents:
    """Latents from posteriors (V, 2C, h, w) that were encoded once."""

    def __init__(self, posteriors: Tensor, scaling: float):
        self.posteriors, self.scaling = posteriors, scaling

    def __call__(self, draw: Draw) -> Tensor:
        noise = draw.posterior_noise.to(self.posteriors.device)
        return sampled_latents(self.posteriors[draw.views], noise, self.scaling)


class EncodedLatents:
    """The same latents by encoding the pictures (V, 3, H, W) at every pass, as the public script does."""

    def __init__(self, autoencoder: nn.Module, pictures: Tensor):
        self.autoencoder, self.pictures = autoencoder, pictures

    @torch.no_grad()
    def __call__(self, draw: Draw) -> Tensor:
        posterior = self.autoencoder.encode(self.pictures[draw.views]).latent_dist
        return sampled_latents(
            posterior.parameters.float(),
            draw.posterior_noise.to(self.pictures.device),
            self.autoencoder.config.scaling_factor,
        )


def plateau(probes: list[dict[str, float]], steps: int, gain: float) -> int | None:
    """The step at which the best probe loss had gained less than the share `gain` over the last `steps`, or None."""
    for at, now in enumerate(probes):
        earlier = [probe["loss"] for probe in probes if probe["step"] <= now["step"] - steps]
        if earlier and min(probe["loss"] for probe in probes[: at + 1]) > min(earlier) * (1 - gain):
            return int(now["step"])
    return None


def _parts(draw: Draw, size: int) -> list[Draw]:
    return [
        Draw(
            draw.views[at : at + size],
            draw.posterior_noise[at : at + size],
            draw.noise[at : at + size],
            draw.timesteps[at : at + size],
            draw.templates[at : at + size],
        )
        for at in range(0, len(draw.views), size)
    ]
