"""Training a classifier on a few labelled images by its method's recipe: one loop for features and for pixels."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from cones.data.classification import Item, train_views
from cones.methods.classifier import Classifier, ClassifierMethod, LabelledFeatures
from cones.methods.recipes import groups_of, optimiser_of, rate_at, steps_of, steps_per_epoch
from cones.methods.settings import Recipe
from cones.models.dual_encoder import ImageFeatures, PictureFormat
from cones.models.losses import add_normalisers, normalised
from cones.runtime.determinism import generator
from cones.runtime.devices import peak_memory_bytes, to_device
from cones.runtime.progress import log
from cones.runtime.provenance import settings_digest
from cones.training.loop import Progress, TrainingLoop

Part = tuple[ImageFeatures | Tensor, Tensor]  # images, as features or pixels, and their labels (B,)
# A CPU's memory cannot run out in a way that a batch could be cut after, as a GPU's can: so at most these many pictures
# go through an encoder together there. 256 of the nano model's take 0.9 GB with their gradients, 32 take 0.3 GB.
PICTURES_AT_ONCE_ON_A_CPU = 32


class TrainingImages(Protocol):
    """Labelled images from which batches are made.

    at_once  how many may go through the model together; None: as many as a batch has
    """

    at_once: int | None

    def __len__(self) -> int: ...

    def batch(self, rows: Sequence[int], epoch: int) -> Part: ...


@dataclass(frozen=True)
class StoredFeatures:
    """Features that were computed once, on the device where they are used."""

    images: LabelledFeatures
    at_once: None = None

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, rows: Sequence[int], epoch: int) -> Part:
        return self.images.features[list(rows)], self.images.labels[list(rows)]


@dataclass(frozen=True)
class AugmentedPictures:
    """Pictures that are decoded, cut and turned anew in each epoch: a view depends on seed, epoch and picture alone."""

    folder: Path
    items: Sequence[Item]
    picture_format: PictureFormat
    seed: int
    device: torch.device

    @property
    def at_once(self) -> int | None:
        return PICTURES_AT_ONCE_ON_A_CPU if self.device.type == "cpu" else None

    def __len__(self) -> int:
        return len(self.items)

    def batch(self, rows: Sequence[int], epoch: int) -> Part:
        items = [self.items[row] for row in rows]
        paths, names = [self.folder / item.path for item in items], [item.path for item in items]
        pixels = train_views(paths, names, self.picture_format, self.seed, epoch)
        return to_device(pixels, self.device), torch.tensor([item.label for item in items], device=self.device)


@dataclass
class TuningRun(Progress):
    """Where the training of a classifier stands; `history` has a mean loss for each finished epoch."""

    epoch_losses: list[float] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)


class ClassifierTuner(TrainingLoop):
    """Trains what of a classifier requires a gradient, in place; it is in eval mode before and after."""

    progress: TuningRun
    untimed_steps = 1
    smallest_part = "one image"
    advice_not_finite = "lower the learning rate of this arm's recipe; nothing was zeroed or skipped"

    def __init__(
        self,
        *,
        classifier: Classifier,
        method: ClassifierMethod,
        images: TrainingImages,
        recipe: Recipe,
        seed: int,
        device: torch.device,
        checkpoint: Path,
        identity: str = "",
        on_step: Callable[[int], None] = lambda step: None,
    ):
        """identity  digests what the run depends on besides recipe, seed and the shapes of what trains
        on_step   called after each step with the number of finished ones, outside the time taken
        """
        self.classifier, self.method, self.images, self.recipe = classifier, method, images, recipe
        self.seed, self.on_step, self.clip_norm = seed, on_step, recipe.clip_norm
        self.separate_terms = method.separate_terms
        trained = {name: value for name, value in classifier.named_parameters() if value.requires_grad}
        shapes = {name: list(parameter.shape) for name, parameter in trained.items()}
        super().__init__(
            trained=trained,
            optimiser=optimiser_of(recipe, groups_of(method, recipe, trained)),
            progress=TuningRun(micro_batch=min(recipe.batch_size, images.at_once or recipe.batch_size)),
            checkpoint=checkpoint,
            identity=settings_digest([recipe.model_dump(mode="json"), seed, len(images), shapes, identity]),
            device=device,
            where=checkpoint.parent,
        )
        self.steps, self.per_epoch = steps_of(recipe, len(images)), steps_per_epoch(recipe, len(images))

    def run(self) -> TuningRun:
        """Train to the end of the recipe; an interrupted run of the same identity is resumed."""
        self.resume()
        self.classifier.train()
        self.train(self._batches(), label="optimiser steps", total=self.steps - self.progress.step)
        self.classifier.eval()
        return self.progress

    def record(self) -> dict:
        """How training went, for `tuning.json`."""
        run = self.progress
        return {
            "steps": run.step,
            "seconds": run.seconds,
            "timed_steps": run.timed_steps,
            "history": run.history,
            "micro_batch": run.micro_batch,
            "peak_memory_bytes": peak_memory_bytes(self.device),
        }

    # ------------------------------------------------------------------------------------------------ batches

    def _batches(self) -> Iterator[Part]:
        """The batches of all steps that are left: each epoch a permutation of the images."""
        while self.progress.step < self.steps:
            epoch, place = divmod(self.progress.step, self.per_epoch)
            order = torch.randperm(len(self.images), generator=generator("order", self.seed, epoch)).tolist()
            size = self.recipe.batch_size
            yield self.images.batch(order[place * size : (place + 1) * size], epoch)

    def parts(self, batch: Part) -> list[Part]:
        images, labels = batch
        size = self.progress.micro_batch
        return [(images[at : at + size], labels[at : at + size]) for at in range(0, len(labels), size)]

    # ------------------------------------------------------------------------------------------------ one step

    @torch.no_grad()
    def normalisers(self, parts: Sequence[Part]) -> dict[str, Tensor]:
        """From one pass without gradients: asked for only after memory ran out, when a batch is cut."""
        terms = [self.method.loss_terms(self.classifier, images, labels) for images, labels in parts]
        return add_normalisers([{name: term.normaliser for name, term in part.items()} for part in terms])

    def losses(self, part: Part, normalisers: dict[str, Tensor] | None) -> dict[str, Tensor]:
        images, labels = part
        return normalised(self.method.loss_terms(self.classifier, images, labels), normalisers)

    def learning_rate(self, group: dict) -> float:
        return rate_at(self.recipe, self.progress.step, len(self.images), group["factor"])

    def random_place(self) -> tuple:
        return "dropout", self.seed, self.progress.step

    def adjust_gradients(self) -> None:
        self.method.adjust_gradients(self.classifier, self.separate_gradients)

    def after_step(self, losses: dict[str, float]) -> None:
        run = self.progress
        run.epoch_losses.append(sum(losses.values()))
        if run.step % self.per_epoch == 0 or run.step == self.steps:
            mean = sum(run.epoch_losses) / len(run.epoch_losses)
            run.history.append({"epoch": len(run.history) + 1, "steps": run.step, "loss": round(mean, 6)})
            run.epoch_losses = []
        if run.step == self.steps:
            log.info("%d steps: loss %.4f in the last epoch", run.step, run.history[-1]["loss"])
        self.on_step(run.step)

    # ----------------------------------------------------------------------------------------- interrupted and resumed

    def state(self) -> dict:
        buffers = {name: value.detach().cpu().clone() for name, value in self.classifier.named_buffers()}
        return {**super().state(), "buffers": buffers}

    def load_state(self, content: dict) -> None:
        super().load_state(content)
        buffers = dict(self.classifier.named_buffers())
        for name, value in content["buffers"].items():
            buffers[name].copy_(value)
