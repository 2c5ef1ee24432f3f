"""The one training loop: every method of every model goes through it, with the same budget and the same rules.

Protocol of GLIP's fine-tuning (spec, section 10): AdamW, gradient clipping, learning rate reduced on a plateau of
validation AP, early stop, best epoch on validation kept; or, as UNINEXT is trained, one step down at a fixed epoch.
Validation AP is that of the masks where model and dataset have them, else that of the boxes. Everything random is drawn
from a generator named after its place, so an interrupted run resumes to the same numbers, bit for bit on a CPU.
"""

import time
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from cones.cell import settings_digest
from cones.config import CellSettings
from cones.data.ahead import ahead
from cones.data.batches import Sample, Split, View, groups_of_equal_size
from cones.determinism import generator, seed_of
from cones.devices import mixed_precision, release_memory
from cones.errors import ConesError
from cones.evaluation.coco_ap import average_precision
from cones.language import LanguageFeatures
from cones.losses import add_normalisers, normalised
from cones.methods import TuningMethod
from cones.models.detector import GroundedDetector, Target
from cones.optimiser import parameter_groups
from cones.prediction import predict
from cones.progress import log, watched
from cones.prompts import Prompt, PromptContext
from cones.pyramid_file import PyramidFile
from cones.pyramids import FrozenPyramids, LivePyramids, SharedPyramids, trains_image_encoder
from cones.ranks import Ranks
from cones.resume import read_checkpoint, write_checkpoint

SECONDS_BETWEEN_CHECKPOINTS = 60


@dataclass
class Progress:
    """Where a run stands; saved whole in a checkpoint."""

    epoch: int = 0  # finished epochs
    step: int = 0  # finished optimiser steps
    step_in_epoch: int = 0
    below_best: int = 0  # evaluations strictly below the best since the best
    best_ap: float | None = None
    best_epoch: int = 0
    micro_batch: int = 0
    loss_sums: dict[str, float] = field(default_factory=dict)  # of the running epoch
    seconds: float = 0.0
    history: list[dict] = field(default_factory=list)


class Tuner:
    """Tunes `prompt` and `model` as `method` says and leaves both in their best state on the validation split."""

    def __init__(
        self,
        *,
        model: GroundedDetector,
        prompt: Prompt,
        method: TuningMethod,
        train: Split,
        val: Split,
        settings: CellSettings,
        seed: int,
        device: torch.device,
        checkpoint: Path,
        identity: str = "",
        ranks: Ranks | None = None,
        features: PyramidFile | None = None,
    ):
        self.model, self.prompt, self.method = model.to(device), prompt.to(device), method
        self.train_split, self.val_split = train, val
        self.settings, self.tuning, self.seed, self.device = settings, settings.tuning, seed, device
        self.checkpoint, self.identity, self.ranks = checkpoint, identity, ranks or Ranks()
        self.trained = mark_trainable(model, prompt, method)
        groups = parameter_groups(self.trained, settings.learning_rate, self.tuning)
        together = {"fused": True} if device.type == "cuda" else {"foreach": True}  # all parameters in a few calls
        self.optimiser = torch.optim.AdamW(groups, weight_decay=self.tuning.weight_decay, **together)
        plateau = self.tuning.plateau
        self.scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self.optimiser,
            mode="max",
            factor=plateau.factor,
            patience=plateau.patience,
            threshold=plateau.threshold,
            min_lr=plateau.min_lr,
        )
        self.train_pyramids, self.val_pyramids = (self._pyramids(split, features) for split in (train, val))
        self.progress = Progress(micro_batch=self.tuning.micro_batch)
        self.best: dict[str, Tensor] = self._snapshot()

    def _pyramids(self, split: Split, features: PyramidFile | None) -> FrozenPyramids | LivePyramids:
        if trains_image_encoder(self.model, self.trained) or not self.tuning.exact_savings:
            return LivePyramids(self.model, self.device)
        budget = self.tuning.pyramid_cache_mb // 2
        return FrozenPyramids(self.model, self.device, budget, SharedPyramids(features, split))

    def run(self) -> Progress:
        """Train until the budget or patience ends; an unfinished run of the same settings is taken up again."""
        self._resume()
        if self.tuning.max_epochs and not self.train_split.trainable_indices():
            raise ConesError(
                "no training image has a usable box",
                where=self.train_split.root.parent,
                next_step="look at manifest.json there: what was dropped, and why",
            )
        while self.progress.epoch < self.tuning.max_epochs and self.progress.below_best < self.tuning.early_stop:
            self._epoch()
            self._validate()
            self._save()
        for name, value in self.best.items():
            self.trained[name].data.copy_(value)
        self.model.eval()
        self.prompt.eval()
        return self.progress

    def language(self, batch_size: int = 1, pyramid=None) -> LanguageFeatures:
        return self.prompt(PromptContext(batch_size=batch_size, pyramid=pyramid))

    # ------------------------------------------------------------------------------------------------ one epoch

    def _batches(self, epoch: int) -> list[list[View]]:
        """The views of an epoch in order: a permutation of images x copies, each with its own size and flip."""
        images = self.train_split.trainable_indices() * self.tuning.copies
        order = torch.randperm(len(images), generator=generator("order", self.seed, epoch)).tolist()
        draw = torch.rand(len(images), 2, generator=generator("views", self.seed, epoch)).tolist()
        sizes = self.tuning.train_short_sides
        views = [
            View(images[place], sizes[int(size * len(sizes))], flip < self.tuning.flip)
            for place, (size, flip) in zip(order, draw)
        ]
        return [views[i : i + self.tuning.batch_size] for i in range(0, len(views), self.tuning.batch_size)]

    def _epoch(self) -> None:
        progress = self.progress
        self.method.set_modes(self.model, self.prompt)
        self._keep_frozen_parts_in_eval_mode()
        batches = [self.ranks.share(batch) for batch in self._batches(progress.epoch)[progress.step_in_epoch :]]
        started = saved = time.monotonic()
        loaded = ahead(self._samples, batches, device_type=self.device.type)
        label = f"epoch {progress.epoch + 1} of at most {self.tuning.max_epochs}"
        for samples in watched(loaded, label=label, total=len(batches)):
            for term, value in self._step(samples).items():
                progress.loss_sums[term] = progress.loss_sums.get(term, 0.0) + value
            progress.step += 1
            progress.step_in_epoch += 1
            now = time.monotonic()
            progress.seconds, started = progress.seconds + now - started, now
            if now - saved > SECONDS_BETWEEN_CHECKPOINTS:
                self._save()
                saved = now

    def _samples(self, batch: list[View]) -> list[Sample]:
        return [self.train_split.sample(view) for view in batch]

    def _keep_frozen_parts_in_eval_mode(self) -> None:
        for name, module in self.model.named_modules():
            if any(f"{name}.".startswith(prefix) for prefix in self.model.always_frozen):
                module.eval()

    def _step(self, samples: list[Sample]) -> dict[str, float]:
        """One optimiser step; after an out-of-memory error with half the micro-batch and the same loss."""
        step, warmup = self.progress.step, self.tuning.warmup_steps
        if step <= warmup:
            for group in self.optimiser.param_groups:
                group["lr"] = group["initial_lr"] * (step + 1) / (warmup + 1)
        while (losses := self._try_to_accumulate(samples)) is None:
            release_memory(self.device)
            self.progress.micro_batch //= 2
            log.info("out of memory: %d images per forward pass from here on", self.progress.micro_batch)
        self.ranks.sum_gradients(self.trained.values())
        norm = nn.utils.clip_grad_norm_(self.trained.values(), self.tuning.clip_norm)
        if not torch.isfinite(norm):
            self._stop_because("gradient", samples)
        self.optimiser.step()
        return losses

    def _try_to_accumulate(self, samples: list[Sample]) -> dict[str, float] | None:
        """None if memory ran out, here or in another process, and a smaller micro-batch is left to try."""
        self.optimiser.zero_grad(set_to_none=True)
        try:
            losses = self._accumulate(samples)
        except torch.OutOfMemoryError as error:
            if self.progress.micro_batch == 1:
                raise self._no_memory(samples) from error
            losses = None
        return None if self.ranks.any(losses is None) else losses

    def _accumulate(self, samples: list[Sample]) -> dict[str, float]:
        """Gradients of the whole batch's loss, part by part, every part divided by the whole batch's normalisers."""
        rank = (self.ranks.rank,) if self.ranks.rank else ()
        torch.manual_seed(seed_of("dropout", self.seed, self.progress.step, *rank))
        parts = groups_of_equal_size(samples, self.progress.micro_batch)
        targets = [[sample.target.to(self.device) for sample in part] for part in parts]
        shared = self._normalisers(parts, targets) if len(parts) > 1 or self.ranks.size > 1 else None
        losses: dict[str, float] = dict.fromkeys(shared or (), 0.0)
        for part, target in zip(parts, targets):
            with mixed_precision(self.device):
                pyramid = self.train_pyramids(part)
                language = self.language(len(part), pyramid).for_batch(len(part))
                terms = self.model.loss(self.model.ground(pyramid, language, target), target)
            values = normalised(terms, shared)
            total = sum(values.values())
            if not torch.isfinite(total):
                self._stop_because("loss", part)
            total.backward()
            for term, value in values.items():
                losses[term] = losses.get(term, 0.0) + value.item()
        return losses

    def _no_memory(self, samples: list[Sample]) -> ConesError:
        return ConesError(
            f"out of memory with one image per forward pass, at step {self.progress.step + 1}",
            where=self.checkpoint.parent,
            found=f"images {[sample.target.image_id for sample in samples]}",
            next_step="set smaller train_short_sides, or use a device with more memory; the run goes on from here",
        )

    def _normalisers(self, parts: list[list[Sample]], targets: list[list[Target]]) -> dict[str, Tensor]:
        """Those of the whole batch, in all processes; one that got none of its images adds nothing."""
        sizes = [tuple(part[0].pixels.shape[1:]) for part in parts]
        own = [self.model.normalisers(t, size) for t, size in zip(targets, sizes)]
        nothing = (self.model.preprocessing.size_divisor,) * 2
        return self.ranks.sum(add_normalisers(own or [self.model.normalisers([], nothing)]))

    def _stop_because(self, what: str, samples: list[Sample]) -> None:
        raise ConesError(
            f"the {what} is not finite at step {self.progress.step + 1} (epoch {self.progress.epoch + 1})",
            where=self.checkpoint.parent,
            found=f"images {[sample.target.image_id for sample in samples]}",
            next_step="look at these images or lower the learning rate; nothing was zeroed or skipped",
        )

    # ------------------------------------------------------------------------------------- validation and schedule

    def _validate(self) -> None:
        progress = self.progress
        self.model.eval()
        self.prompt.eval()
        ap = self.ranks.first(self._validation_ap)
        rate = self.optimiser.param_groups[0]["lr"]
        self._adjust_rate(ap)
        is_last = self.tuning.selection == "last"
        if is_last or progress.best_ap is None or ap >= progress.best_ap:  # a tie overwrites the best
            progress.best_ap, progress.best_epoch, progress.below_best = ap, progress.epoch + 1, 0
            self.best = self._snapshot()
        else:
            progress.below_best += 1
        steps = max(progress.step_in_epoch, 1)
        sums = progress.loss_sums
        if self.ranks.size > 1:
            sums = {term: total.item() for term, total in self.ranks.sum(sums).items()}
        losses = {term: total / steps for term, total in sums.items()}
        progress.history.append(
            {"epoch": progress.epoch + 1, "steps": progress.step, "learning_rate": rate, "val_ap": ap, "losses": losses}
        )
        said = " ".join(f"{term} {value:.3f}" for term, value in losses.items())
        log.info("epoch %d: %s, lr %.2g, validation AP %.1f", progress.epoch + 1, said, rate, ap)
        progress.epoch, progress.step_in_epoch, progress.loss_sums = progress.epoch + 1, 0, {}

    def _validation_ap(self) -> float:
        with torch.no_grad():
            language = self.language()
        label = f"validation {self.progress.epoch + 1}"
        results = predict(self.model, language, self.val_split, self.val_pyramids, label=label)
        deciding, limit = self.val_split.iou_types[-1], self.model.detections_per_image
        return average_precision(self.val_split.coco, results, limit, deciding) or 0.0

    def _adjust_rate(self, ap: float) -> None:
        """After an epoch: down once at the share `decay_at` of the budget, or else where validation AP stops rising."""
        if self.tuning.decay_at is None:
            if ap > 0:
                self.scheduler.step(ap)
        elif self.progress.epoch + 1 == round(self.tuning.decay_at * self.tuning.max_epochs):
            for group in self.optimiser.param_groups:
                group["lr"] *= self.tuning.plateau.factor

    def _snapshot(self) -> dict[str, Tensor]:
        return {name: parameter.detach().cpu().clone() for name, parameter in self.trained.items()}

    # ----------------------------------------------------------------------------------------- interrupted and resumed

    def _identity(self) -> str:
        """What a checkpoint must agree with to be taken up: identity (data, weights, code), settings, seed, shapes."""
        shapes = {name: list(parameter.shape) for name, parameter in self.trained.items()}
        settings = self.settings.model_dump(mode="json")
        return settings_digest([self.identity, settings, self.seed, len(self.train_split), shapes])

    def _save(self) -> None:
        if not self.trained or self.ranks.rank:
            return
        content = {
            "identity": self._identity(),
            "progress": vars(self.progress),
            "trained": self._snapshot(),
            "best": self.best,
            "optimiser": self.optimiser.state_dict(),
            "scheduler": {k: v for k, v in self.scheduler.state_dict().items() if not k.startswith("_")},
        }
        write_checkpoint(self.checkpoint, content)

    def _resume(self) -> None:
        content = read_checkpoint(self.checkpoint, self._identity())
        if content is None:
            return
        self.progress = Progress(**content["progress"])
        if self.ranks.rank:  # it is the first process's, whose sums are its own
            self.progress.loss_sums = dict.fromkeys(self.progress.loss_sums, 0.0)
        for name, value in content["trained"].items():
            self.trained[name].data.copy_(value)
        self.best = content["best"]
        self.optimiser.load_state_dict(content["optimiser"])
        self.scheduler.load_state_dict(content["scheduler"])
        log.info("taken up again at epoch %d, step %d", self.progress.epoch + 1, self.progress.step)


def mark_trainable(model: GroundedDetector, prompt: Prompt, method: TuningMethod) -> dict[str, nn.Parameter]:
    """Set `requires_grad` as the method says and return what trains, by name."""
    trained = {}
    for name, parameter in [
        *((f"model.{name}", parameter) for name, parameter in model.named_parameters()),
        *((f"prompt.{name}", parameter) for name, parameter in prompt.named_parameters()),
    ]:
        frozen = any(name.removeprefix("model.").startswith(prefix) for prefix in model.always_frozen)
        parameter.requires_grad_(not frozen and method.trainable(name, model))
        if parameter.requires_grad:
            trained[name] = parameter
    return trained
