"""The one loop that learns a subject, for every method: the same draws, budget, accumulation and optimiser.

AdamW on the method's vectors alone; the gradient of several passes is summed by hand. What is random is named after its
pass, so an interrupted run resumes to the same numbers.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from cones.cell import settings_digest
from cones.devices import mixed_precision, peak_memory_bytes
from cones.errors import ConesError
from cones.models.stable_diffusion.contexts import Context
from cones.models.stable_diffusion.draws import Draw, PairedDraws
from cones.models.stable_diffusion.objective import denoising_loss, sampled_latents
from cones.models.stable_diffusion.settings import SubjectTuning
from cones.progress import log, watched
from cones.resume import read_checkpoint, write_checkpoint

SECONDS_BETWEEN_CHECKPOINTS = 60
WARM_UP_PASSES = 20  # not timed
PROBE_BATCH = 8


@dataclass
class LearningRun:
    """Where a run stands; saved whole in a checkpoint. Losses are means per optimiser step."""

    step: int = 0
    seconds: float = 0.0  # of timed passes and optimiser steps alone
    timed_passes: int = 0
    losses: list[float] = field(default_factory=list)
    probes: list[dict[str, float]] = field(default_factory=list)  # step, loss, norm of the vectors
    plateau_step: int | None = None


class SubjectLearner:
    """Trains `context.vectors` against the frozen UNet and leaves them as they are after the last step."""

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
        self.draws, self.probe, self.tuning, self.checkpoint, self.on_step = draws, probe, tuning, checkpoint, on_step
        self.device = next(unet.parameters()).device
        self.identity = settings_digest([tuning.model_dump(mode="json"), inputs, list(context.vectors.shape)])
        self.optimiser = torch.optim.AdamW(
            [context.vectors], lr=tuning.learning_rate, betas=(0.9, 0.999), weight_decay=tuning.weight_decay
        )
        self.run_so_far = LearningRun()

    def run(self) -> LearningRun:
        self._resume()
        run, tuning, saved = self.run_so_far, self.tuning, time.monotonic()
        if not run.probes:
            self._probe()
        for _ in watched(range(run.step, tuning.steps), label="optimiser steps"):
            if tuning.stop_at_plateau and run.plateau_step is not None:
                break
            self.one_step()
            if run.step % tuning.probe_every == 0 or run.step == tuning.steps:
                self._probe()
            self.on_step(run.step)
            if time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
                self._save()
                saved = time.monotonic()
        return run

    def record(self) -> dict:
        """What all methods say about how learning went."""
        run, vectors = self.run_so_far, self.context.vectors
        return {
            "optimiser_steps": run.step,
            "passes": run.step * self.tuning.accumulation,
            "seconds": run.seconds,
            "timed_passes": run.timed_passes,
            "seconds_per_pass": run.seconds / run.timed_passes if run.timed_passes else None,
            "loss_curve": run.losses,
            "probe_curve": run.probes,
            "plateau_step": run.plateau_step,
            "peak_memory_bytes": peak_memory_bytes(self.device),
            "trained_values": vectors.numel(),
            "stored_bytes": vectors.numel() * vectors.element_size(),
        }

    # ------------------------------------------------------------------------------------------------ one step

    def one_step(self) -> None:
        """One optimiser step on the mean gradient of `accumulation` passes."""
        run, accumulation = self.run_so_far, self.tuning.accumulation
        first = run.step * accumulation
        timed = first >= WARM_UP_PASSES
        started = time.monotonic()
        self.optimiser.zero_grad(set_to_none=True)
        total = 0.0
        for number in range(first, first + accumulation):
            loss = self.losses(self.draws(number)).mean() / accumulation
            loss.backward()
            total += loss.item()
        if not torch.isfinite(self.context.vectors.grad).all() or not total < float("inf"):
            raise ConesError(
                f"the loss or its gradient is not finite at step {run.step + 1}",
                where=self.checkpoint.parent,
                next_step="lower the learning rate",
            )
        self.optimiser.step()
        if timed:
            run.seconds += time.monotonic() - started
            run.timed_passes += accumulation
        run.step += 1
        run.losses.append(round(total, 6))

    def losses(self, draw: Draw) -> Tensor:
        """The denoising error of each sample of a draw (B,)."""
        with mixed_precision(self.device):
            return denoising_loss(
                self.unet,
                self.scheduler,
                self.latents_of(draw),
                draw.noise.to(self.device),
                draw.timesteps.to(self.device),
                self.context(draw.templates),
            )

    # --------------------------------------------------------------------------------------- probe and plateau

    @torch.no_grad()
    def _probe(self) -> None:
        """The error on the fixed probe set, and whether it has stopped falling."""
        run = self.run_so_far
        losses = torch.cat([self.losses(part) for part in _parts(self.probe, PROBE_BATCH)])
        norm = self.context.vectors.norm(dim=-1).mean().item()
        run.probes.append({"step": run.step, "loss": round(losses.mean().item(), 6), "norm": round(norm, 4)})
        if run.plateau_step is None:
            run.plateau_step = plateau(run.probes, self.tuning.plateau_steps, self.tuning.plateau_gain)
        log.info("step %d: probe loss %.5f, norm of the vectors %.2f", run.step, run.probes[-1]["loss"], norm)

    # ----------------------------------------------------------------------------------------- interrupted and resumed

    def _save(self) -> None:
        content = {
            "identity": self.identity,
            "run": vars(self.run_so_far),
            "vectors": self.context.vectors.detach().cpu(),
            "optimiser": self.optimiser.state_dict(),
        }
        write_checkpoint(self.checkpoint, content)

    def _resume(self) -> None:
        content = read_checkpoint(self.checkpoint, self.identity)
        if content is None:
            return
        self.run_so_far = LearningRun(**content["run"])
        self.context.vectors.data.copy_(content["vectors"])
        self.optimiser.load_state_dict(content["optimiser"])
        log.info("taken up again at step %d", self.run_so_far.step)


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
