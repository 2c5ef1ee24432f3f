"""Stable Diffusion as a `Generator`: a frozen UNet and autoencoder, and a context that a method learns."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from cones.methods.contexts import ConceptContext, Context, SubjectInputs, TextParts, spliced
from cones.models.generator import Generator, Subject, SubjectEmbedding
from cones.models.stable_diffusion.draws import PairedDraws, probe_draws
from cones.models.stable_diffusion.prompts import CLASS_PROMPT
from cones.models.stable_diffusion.sampling import denoised
from cones.models.stable_diffusion.settings import SubjectTuning
from cones.models.stable_diffusion.views import posteriors, views
from cones.runtime.determinism import generator
from cones.runtime.devices import mixed_precision
from cones.runtime.errors import ConesError
from cones.runtime.precision import Precision
from cones.runtime.progress import log
from cones.training.subjects.learning import CachedLatents, EncodedLatents, SubjectLearner

SAMPLING_POSITIONS = 4 * 64 * 64
"""Latent positions that are drawn at once: four pictures of Stable Diffusion 1.5 at 512 pixels."""


@dataclass(frozen=True)
class TextStates:
    """What a text encoder said once: null (1, L, D) of the empty prompt; the rows (P, D) of class nouns."""

    null: Tensor
    class_rows: dict[str, Tensor]


class StableDiffusion(Generator):
    """Frozen but for the UNet while stage 2 tunes it for a subject; what was tuned goes with the subject's embedding.

    Without `text` it can learn and draw ConES's vectors, which need no text encoder.
    """

    def __init__(
        self,
        *,
        unet: nn.Module,
        autoencoder: nn.Module,
        scheduler,
        states: TextStates,
        text: TextParts | None = None,
        device: torch.device,
    ):
        self.unet, self.autoencoder, self.scheduler = unet, autoencoder, scheduler
        self.states, self.text, self.device = states, text, device
        for module in (unet, autoencoder, *([text.encoder] if text else [])):
            module.to(device).eval().requires_grad_(False)

    @property
    def side(self) -> int:
        """Pixels of a picture's side."""
        return self.unet.config.sample_size * 2 ** (len(self.autoencoder.config.block_out_channels) - 1)

    @property
    def parameters(self) -> int:
        """How many are in memory: UNet, autoencoder and, where it was loaded, the text encoder."""
        modules = [self.unet, self.autoencoder, *([self.text.encoder] if self.text else [])]
        return sum(parameter.numel() for module in modules for parameter in module.parameters())

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        return (self.unet.config.in_channels, self.unet.config.sample_size, self.unet.config.sample_size)

    # ------------------------------------------------------------------------------------------------ learning

    def learn(
        self,
        subject: Subject,
        method: str,
        *,
        tuning: SubjectTuning,
        seed: int,
        folder: Path,
        grids: Path | None = None,
        base: str = "",
        identity: str = "",
        stage1: SubjectEmbedding | None = None,
    ) -> SubjectEmbedding:
        """The subject as the method says it; `folder` gets `resume.pt` while it lasts, `grids` the grids of samples.
        `stage1` is the embedding that stage 2 fixes.

        `base` identifies the weights, `identity` all else that the step was made of; a checkpoint of other weights,
        pictures, method, settings or code is not taken up.
        """
        context = Context.of(method, self.prompt_inputs(subject, tuning, seed, stage1)).to(self.device)
        mode = context.mode
        if context.vectors is None:
            record = {"optimiser_steps": 0, "passes": 0, "seconds": 0.0, "trained_values": 0, "stored_bytes": 0}
            return SubjectEmbedding(method, subject.class_word, None, mode, {**record, "seed": seed})
        learner = self.learner(
            subject, context, tuning=tuning, seed=seed, folder=folder, inputs=f"{method} {base} {identity}"
        )
        learner.on_step = self._grids(subject, method, context, tuning, grids or folder)
        unet = {}
        if context.trains_unet:
            with self.own_unet():
                self.unet.requires_grad_(True)
                learner.run()
                unet = {name: value.detach().half().cpu() for name, value in learner.trained.items()}
        else:
            learner.run()
        learner.checkpoint.remove()
        vectors = context.vectors.detach().cpu().clone()
        record = {**learner.record(), "seed": seed}
        return SubjectEmbedding(method, subject.class_word, vectors, mode, record, unet)

    @contextlib.contextmanager
    def own_unet(self, weights: dict[str, Tensor] | None = None) -> Iterator[None]:
        """The UNet with these weights, if any are given, which inside may change; afterwards those it had before."""
        before = {name: parameter.detach().clone() for name, parameter in self.unet.named_parameters()}
        try:
            for name, value in (weights or {}).items():
                self.unet.get_parameter(name).data.copy_(value)
            yield
        finally:
            self.unet.requires_grad_(False)
            for name, value in before.items():
                self.unet.get_parameter(name).data.copy_(value)

    def learner(
        self, subject: Subject, context: Context, *, tuning: SubjectTuning, seed: int, folder: Path, inputs: str
    ) -> SubjectLearner:
        """The loop over one subject, with the draws that every method shares."""
        pictures = views(subject.pictures, self.side, tuning.fit).to(self.device)
        if tuning.cache_posteriors:
            scaling = self.autoencoder.config.scaling_factor
            latents = CachedLatents(posteriors(self.autoencoder, pictures), scaling)
        else:
            latents = EncodedLatents(self.autoencoder, pictures)
        timesteps = self.scheduler.config.num_train_timesteps
        shape = self.latent_shape
        return SubjectLearner(
            unet=self.unet,
            scheduler=self.scheduler,
            context=context,
            latents_of=latents,
            draws=PairedDraws(
                pictures=len(subject.pictures), latent_shape=shape, timesteps=timesteps, seed=seed, batch=tuning.batch
            ),
            probe=probe_draws(views=len(pictures), latent_shape=shape, timesteps=timesteps, template=CLASS_PROMPT),
            tuning=tuning,
            inputs=f"{inputs} {subject.name} {seed} {float(pictures.double().sum())}",
            checkpoint=folder / "resume.pt",
        )

    def prompt_inputs(
        self, subject: Subject, tuning: SubjectTuning, seed: int, stage1: SubjectEmbedding | None = None
    ) -> SubjectInputs:
        return SubjectInputs(
            class_word=subject.class_word,
            generator=generator("vectors", subject.name, seed),
            null=self.states.null,
            tokens=tuning.tokens,
            mode=tuning.mode,
            init=tuning.init,
            init_std=tuning.init_std,
            class_rows=self.states.class_rows.get(subject.class_word),
            text=self.text,
            stage1=stage1,
        )

    def _grids(self, subject: Subject, method: str, context: Context, tuning: SubjectTuning, folder: Path):
        def on_step(step: int) -> None:
            if tuning.grid_every and step % tuning.grid_every == 0:
                now = SubjectEmbedding(method, subject.class_word, context.vectors.detach().cpu(), context.mode)
                (pictures,) = self.sample(
                    now,
                    [None],
                    0,
                    count=tuning.grid_pictures,
                    guidance=tuning.guidance,
                    steps=tuning.sampling_steps,
                    precision=tuning.precision,
                )
                path = folder / f"grid_{step:05d}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                side_by_side(pictures).save(path)
                log.info("%s: %d pictures after %d steps", path, len(pictures), step)

        return on_step

    # ------------------------------------------------------------------------------------------------ sampling

    @torch.no_grad()
    def sample(
        self,
        embedding: SubjectEmbedding,
        prompts: Sequence[str | None],
        seed: int,
        *,
        count: int = 1,
        guidance: float = 7.5,
        steps: int = 50,
        precision: Precision = "bfloat16",
    ) -> list[list[Image.Image]]:
        contexts = torch.cat([self.context_of(embedding, prompt) for prompt in prompts])  # (P, L, D)
        contexts = contexts.repeat_interleave(count, dim=0)  # (P * count, L, D)
        null = self.states.null.to(contexts)
        noise = torch.stack(
            [torch.randn(self.latent_shape, generator=generator("sampling", seed, number)) for number in range(count)]
        )
        noise = noise.repeat(len(prompts), 1, 1, 1).to(self.device)
        at_once = max(1, SAMPLING_POSITIONS // noise[0, 0].numel())
        drawn: list[Image.Image] = []
        tuned = self.own_unet(embedding.unet) if embedding.unet else contextlib.nullcontext()
        with tuned:
            for part, context in zip(noise.split(at_once), contexts.split(at_once)):
                with mixed_precision(self.device, precision):
                    latents = denoised(
                        self.unet,
                        self.scheduler,
                        part,
                        context,
                        null.expand(len(part), -1, -1),
                        guidance=guidance,
                        steps=steps,
                    )
                    decoded = self.autoencoder.decode(latents / self.autoencoder.config.scaling_factor).sample
                drawn += to_images(decoded.float())
        return [drawn[place : place + count] for place in range(0, len(drawn), count)]

    @torch.no_grad()
    def context_of(self, embedding: SubjectEmbedding, prompt: str | None) -> Tensor:
        """(1, L, D) the UNet's conditioning on an embedding; for ConES with a prompt, its vectors in the text."""
        if embedding.mode and prompt is not None:
            if self.text is None:
                raise ConesError(
                    "a concept embedding has no text context",
                    found=f'the prompt "{prompt}"',
                    next_step="sample without a prompt, or load the text encoder to splice the embedding into the text",
                )
            return spliced(self.text, prompt, embedding.class_word, embedding.vectors.to(self.device))
        if embedding.mode:
            context: Context = ConceptContext(embedding.vectors, self.states.null, embedding.mode)
        else:
            tokens = 1 if embedding.vectors is None else len(embedding.vectors)
            prompt_inputs = SubjectInputs(
                embedding.class_word, torch.Generator(), self.states.null, tokens, text=self.text
            )
            context = Context.of(embedding.method, prompt_inputs)
            if embedding.vectors is not None:
                context.vectors.data.copy_(embedding.vectors)
        return context.to(self.device)([prompt or CLASS_PROMPT])


def to_images(pictures: Tensor) -> list[Image.Image]:
    """Pictures (B, 3, H, W) in -1 … 1, clipped, as 8-bit images."""
    pixels = ((pictures.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return [Image.fromarray(picture) for picture in pixels.permute(0, 2, 3, 1).cpu().numpy()]


def side_by_side(pictures: list[Image.Image]) -> Image.Image:
    return Image.fromarray(np.concatenate([np.asarray(picture) for picture in pictures], axis=1))
