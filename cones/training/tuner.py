"""Tuning a detector on a dataset, with the same budget and rules for every method and model.

Protocol of GLIP's fine-tuning (docs/spec/glip.md 10): AdamW, gradient clipping, rate reduced on a plateau of
validation AP, early stop, best epoch on validation kept; or, as UNINEXT is trained, one step down at a fixed epoch.
Validation AP is that of the masks where model and dataset have them, else that of the boxes. Everything random is drawn
from a generator named after its place, so an interrupted run resumes to the same numbers, bit for bit on a CPU.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from cones.data.ahead import ahead
from cones.data.batches import Sample, Split, View, groups_of_equal_size
from cones.data.pyramid_file import PyramidFile
from cones.data.pyramids import FrozenPyramids, LivePyramids, SharedPyramids, trains_image_encoder
from cones.evaluation.validation import validation_ap
from cones.methods.method import TrainingImages, TuningMethod
from cones.methods.prompts import Prompt
from cones.methods.settings import CellSettings, Tuning
from cones.models.detector import GroundedDetector
from cones.models.losses import LossTerms, add_normalisers, normalised
from cones.runtime.determinism import generator
from cones.runtime.devices import mixed_precision
from cones.runtime.errors import ConesError
from cones.runtime.processes import Processes
from cones.runtime.progress import log
from cones.runtime.provenance import settings_digest
from cones.training import loop
from cones.training.images import training_images
from cones.training.loop import TrainingLoop
from cones.training.optimiser import parameter_groups


@dataclass
class Progress(loop.Progress):
    """The position and counters of the tuning of a cell."""

    epoch: int = 0  # finished epochs
    step_in_epoch: int = 0
    below_best: int = 0  # evaluations strictly below the best since the best
    best_ap: float | None = None  # on validation, of the epoch that is kept; None without boxes there
    best_epoch: int = 0
    loss_sums: dict[str, float] = field(default_factory=dict)  # of the running epoch
    history: list[dict] = field(default_factory=list)


class Tuner(TrainingLoop):
    """Tunes `prompt` and `model` by `method` and leaves both in their best state on the validation split.

    `identity`, a plain value, is what the result depends on besides settings, seed and the shapes of what trains.
    """

    progress: Progress
    smallest_part = "one image"
    advice_not_finite = "look at these images or lower the learning rate; nothing was zeroed or skipped"
    advice_no_memory = "set smaller train_short_sides, or use a device with more memory; the run goes on from here"

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
        ranks: Processes | None = None,
        features: PyramidFile | None = None,
    ):
        self.model, self.prompt, self.method = model.to(device), prompt.to(device), method
        self.train_split, self.val_split = train, val
        self.separate_terms = method.separate_terms
        self.tuning, self.seed, self.clip_norm = settings.tuning, seed, settings.tuning.clip_norm
        self.scoring_precision = settings.scoring_precision
        trained = mark_trainable(model, prompt, method)
        groups = parameter_groups(trained, settings.learning_rate, self.tuning)
        shapes = {name: list(parameter.shape) for name, parameter in trained.items()}
        super().__init__(
            trained=trained,
            optimiser=torch.optim.AdamW(groups, weight_decay=self.tuning.weight_decay, fused=True),
            progress=Progress(micro_batch=self.tuning.micro_batch),
            checkpoint=checkpoint,
            identity=settings_digest([settings.model_dump(mode="json"), seed, len(train), shapes, identity]),
            device=device,
            where=checkpoint.parent,
            ranks=ranks,
            precision=settings.precision,
        )
        plateau = self.tuning.plateau
        self.scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(
            self.optimiser,
            mode="max",
            factor=plateau.factor,
            patience=plateau.patience,
            threshold=plateau.threshold,
            min_lr=plateau.min_lr,
        )
        self.buffers = method_buffers(model, prompt)
        self.train_pyramids, self.val_pyramids = (self._pyramids(split, features) for split in (train, val))
        self.best: dict[str, Tensor] = self._snapshot()

    def _pyramids(self, split: Split, features: PyramidFile | None) -> FrozenPyramids | LivePyramids:
        if trains_image_encoder(self.model, self.trained) or not self.tuning.exact_savings:
            return LivePyramids(self.model, self.device)
        budget = self.tuning.pyramid_cache_mb // 2
        return FrozenPyramids(self.model, self.device, budget, SharedPyramids(features, split))

    def run(self) -> Progress:
        """Train until the budget or patience ends; an unfinished run of the same identity is resumed."""
        self.resume()
        if self.tuning.max_epochs and not self.train_split.trainable_indices():
            raise ConesError(
                "no training image has a usable box",
                where=self.train_split.root.parent,
                next_step="look at manifest.json there: what was dropped, and why",
            )
        while not self._is_over():
            self._epoch()
            self._validate()
            self.save_if_due(at_least=0)
        self._put_back(self.best)
        self._evaluation_mode()
        return self.progress

    def _is_over(self) -> bool:
        """Whether the budget of epochs or steps, or the patience, is at its end. An epoch that began is validated."""
        progress, tuning = self.progress, self.tuning
        if progress.epoch >= tuning.max_epochs or progress.below_best >= tuning.early_stop:
            return True
        return not progress.step_in_epoch and self._steps_left() == 0

    def _steps_left(self) -> int | None:
        """Optimiser steps that `max_steps` leaves; None without it."""
        return None if self.tuning.max_steps is None else max(self.tuning.max_steps - self.progress.step, 0)

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
        if not progress.step_in_epoch:
            self._evaluation_mode()
            with torch.no_grad():
                self.method.before_epoch(self.model, self.prompt, progress.epoch, self._training_images)
        self.method.set_modes(self.model, self.prompt)
        self._keep_frozen_parts_in_eval_mode()
        batches = self._batches(progress.epoch)[progress.step_in_epoch :][: self._steps_left()]
        batches = [self.ranks.share(batch) for batch in batches]
        label = f"epoch {progress.epoch + 1} of at most {self.tuning.max_epochs}"
        self.train(ahead(self._samples, batches, device_type=self.device.type), label=label, total=len(batches))

    def _samples(self, batch: list[View]) -> list[Sample]:
        return [self.train_split.sample(view) for view in batch]

    def _keep_frozen_parts_in_eval_mode(self) -> None:
        modules = {f"{name}.": module for name, module in self.model.named_modules()}
        modes = {name: module.training for name, module in modules.items() if name.startswith(self.model.additions)}
        for name, module in modules.items():
            if is_always_frozen(name, self.model):
                module.eval()  # and all that is in it, additions too
        for name, mode in modes.items():
            modules[name].training = mode

    def _evaluation_mode(self) -> None:
        self.model.eval()
        self.prompt.eval()

    def _training_images(self) -> Iterator[TrainingImages]:
        return training_images(self.train_split, self.train_pyramids, self.device, self.precision)

    # ------------------------------------------------------------------------------------------------ one step

    def learning_rate(self, group: dict) -> float:
        step, warmup = self.progress.step, self.tuning.warmup_steps
        return group["initial_lr"] * (step + 1) / (warmup + 1) if step <= warmup else group["lr"]

    def random_place(self) -> tuple:
        return "dropout", self.seed, self.progress.step

    def parts(self, batch: list[Sample]) -> list[list[Sample]]:
        on_device = [replace(sample, target=sample.target.to(self.device)) for sample in batch]
        return groups_of_equal_size(on_device, self.progress.micro_batch)

    def normalisers(self, parts: list[list[Sample]]) -> dict[str, Tensor]:
        """Normalisers of the model's and the method's loss terms; zero for a process without an image of the batch."""
        own = [self._normalisers_of(part) for part in parts]
        nothing = (self.model.preprocessing.size_divisor,) * 2
        return add_normalisers(own or [{**self.model.normalisers([], nothing), **self.method.normalisers([], nothing)}])

    def _normalisers_of(self, part: list[Sample]) -> dict[str, Tensor]:
        targets, size = [sample.target for sample in part], tuple(part[0].pixels.shape[1:])
        return {**self.model.normalisers(targets, size), **self.method.normalisers(targets, size)}

    def losses(self, part: list[Sample], normalisers: dict[str, Tensor] | None) -> dict[str, Tensor]:
        targets = [sample.target for sample in part]
        with mixed_precision(self.device, self.precision):
            pyramid = self.train_pyramids(part)
            predictions = self.model.ground(pyramid, self.prompt.for_images(pyramid), targets)
            predictions = self.method.adjust_predictions(self.model, self.prompt, predictions)
            terms = self.model.loss(predictions, targets)
            added = self.method.loss_terms(self.model, self.prompt, predictions, targets)
        check_added_terms(added, self.method.normalisers(targets, tuple(part[0].pixels.shape[1:])), terms, self.method)
        return normalised(terms | added, normalisers)

    def adjust_gradients(self) -> None:
        self.method.adjust_gradients(self.trained, self.progress.step, self.separate_gradients)

    def after_step(self, losses: dict[str, float]) -> None:
        sums = self.progress.loss_sums
        for term, value in losses.items():
            sums[term] = sums.get(term, 0.0) + value
        self.progress.step_in_epoch += 1

    def place(self) -> str:
        return f"{super().place()} (epoch {self.progress.epoch + 1})"

    def describe(self, batch: list[Sample]) -> str:
        return f"images {[sample.target.image_id for sample in batch]}"

    # ------------------------------------------------------------------------------------- validation and schedule

    def _validate(self) -> None:
        progress = self.progress
        self._evaluation_mode()
        ap = self.ranks.first(self._validation_ap)
        rate = self.optimiser.param_groups[0]["lr"]
        self._adjust_rate(ap)
        is_last = keeps_last_epoch(self.method, self.tuning)
        if ap is None and not is_last:
            raise ConesError(
                "the weights that are best on validation are wanted, and no validation picture has a box",
                where=self.val_split.root.parent,
                next_step="set `selection: last` under `tuning` in the suite, or give the dataset a validation split",
            )
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
        loss_text = " ".join(f"{term} {value:.3f}" for term, value in losses.items())
        skipped = f", {progress.skipped_steps} steps skipped so far" if progress.skipped_steps else ""
        validation = "no validation AP" if ap is None else f"validation AP {ap:.1f}"
        log.info("epoch %d: %s, lr %.2g, %s%s", progress.epoch + 1, loss_text, rate, validation, skipped)
        progress.epoch, progress.step_in_epoch, progress.loss_sums = progress.epoch + 1, 0, {}

    def _validation_ap(self) -> float | None:
        """AP on the validation split in percent, of masks or else of boxes; None where it has nothing to find."""
        options = {"label": f"validation {self.progress.epoch + 1}", "precision": self.scoring_precision}
        return validation_ap(self.model, self.prompt, self.method, self.val_split, self.val_pyramids, **options)

    def _adjust_rate(self, ap: float | None) -> None:
        """Lower the learning rate after an epoch: once at the share `decay_at` of the budget, else on an AP plateau."""
        if self.tuning.decay_at is None:
            if ap and self.method.selection != "none":
                self.scheduler.step(ap)
        elif self.progress.epoch + 1 == round(self.tuning.decay_at * self.tuning.max_epochs):
            for group in self.optimiser.param_groups:
                group["lr"] *= self.tuning.plateau.factor

    def _snapshot(self) -> dict[str, Tensor]:
        return {name: value.detach().cpu().clone() for name, value in {**self.trained, **self.buffers}.items()}

    def _put_back(self, snapshot: dict[str, Tensor]) -> None:
        for name, value in {**self.trained, **self.buffers}.items():
            value.data.copy_(snapshot[name])

    # ----------------------------------------------------------------------------------------- interrupted and resumed

    def state(self) -> dict:
        scheduler = {k: v for k, v in self.scheduler.state_dict().items() if not k.startswith("_")}
        return {"tuned": self._snapshot(), "best": self.best, "scheduler": scheduler}

    def load_state(self, content: dict) -> None:
        self._put_back(content["tuned"])
        if self.ranks.rank:  # the sums in the checkpoint are the first process's own
            self.progress.loss_sums = dict.fromkeys(self.progress.loss_sums, 0.0)
        self.best = content["best"]
        self.scheduler.load_state_dict(content["scheduler"])


def mark_trainable(model: GroundedDetector, prompt: Prompt, method: TuningMethod) -> dict[str, nn.Parameter]:
    """Set `requires_grad` by the method's rule and return the trained parameters by name."""
    trained = {}
    for name, parameter in [
        *((f"model.{name}", parameter) for name, parameter in model.named_parameters()),
        *((f"prompt.{name}", parameter) for name, parameter in prompt.named_parameters()),
    ]:
        frozen = name.startswith("model.") and is_always_frozen(name.removeprefix("model."), model)
        parameter.requires_grad_(not frozen and method.trainable(name, model))
        if parameter.requires_grad:
            trained[name] = parameter
    return trained


def is_always_frozen(name: str, model: GroundedDetector) -> bool:
    """Whether no method may train the parameter or module of this name; modules that a method added are not frozen."""
    return name.startswith(tuple(model.always_frozen)) and not name.startswith(model.additions)


def check_added_terms(added: LossTerms, normalisers: dict[str, Tensor], terms: LossTerms, method: TuningMethod) -> None:
    """ConesError unless the loss terms of a method have names of their own and the normalisers known beforehand:
    otherwise a batch in parts would have another loss than the whole batch."""
    for name in sorted(added.keys() | normalisers.keys()):
        actual = added[name].normaliser.item() if name in added else "no such term"
        expected = normalisers[name].item() if name in normalisers else "no such term"
        if actual != expected or name in terms:
            what = "has the name of one of the model's" if name in terms else "has another normaliser than foreseen"
            raise ConesError(
                f'loss term "{name}" {what}',
                where=type(method).__name__,
                expected=f"{expected}, from normalisers",
                found=f"{actual}, from loss_terms",
                next_step="let both name the same terms, under names of their own, with equal normalisers",
            )


def method_buffers(model: GroundedDetector, prompt: Prompt) -> dict[str, Tensor]:
    """The persistent buffers of the prompt and of the modules that the method added to the model, by name."""
    return {
        f"{part}.{name}": value
        for part, module in (("model", model), ("prompt", prompt))
        for name, value in module.state_dict(keep_vars=True).items()
        if not isinstance(value, nn.Parameter) and (part == "prompt" or name.startswith(model.additions))
    }


def keeps_last_epoch(method: TuningMethod, tuning: Tuning) -> bool:
    """Whether the weights of the last epoch are kept, instead of the best on validation."""
    return tuning.selection == "last" or method.selection == "none"
