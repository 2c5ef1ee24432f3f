"""The training loop: gradient steps that are exact under accumulation, and that an interrupted run resumes.

A subclass says what is trained, on which batches, by which losses and at which learning rate.
"""

import math
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from cones.runtime.determinism import seed_of
from cones.runtime.devices import precision_on, release_memory
from cones.runtime.errors import ConesError
from cones.runtime.precision import Precision
from cones.runtime.processes import Processes
from cones.runtime.progress import log, watched
from cones.training.checkpoint import Checkpoint

CHECKPOINT_FORMAT = 3


@dataclass
class Progress:
    """The position and counters of a run, saved in its checkpoint; subclasses add fields.

    seconds      of timed steps and of waiting for their batches; checkpoints, validation and other work between steps
                 do not count
    micro_batch  items that go through the model at once at most; 1 cannot be cut further
    skipped_steps  steps that changed nothing, because a gradient was beyond what float16 can hold
    """

    step: int = 0  # finished optimiser steps
    seconds: float = 0.0
    timed_steps: int = 0
    micro_batch: int = 1
    skipped_steps: int = 0


class TrainingLoop(ABC):
    """Trains `trained` with `optimiser`, step by step.

    trained       {name: parameter} of everything that the optimiser changes
    checkpoint    file of an interrupted run
    identity      plain value of what the run depends on: a checkpoint of another run is not resumed
    where         what error messages name as the place
    clip_norm     greatest norm of the gradient, or None
    untimed_steps  first steps that warm up and are not timed
    separate_terms  losses whose gradients are not added to the others but kept in `separate_gradients`, {term: {name:
                  gradient of the whole batch}}, for `adjust_gradients` to combine
    smallest_part  how much still goes through the model at once when a batch cannot be cut further
    precision     in which the device computes; in float16 the loss is scaled, so that small gradients are not lost: a
                  step whose gradients are not finite then changes nothing, is counted and lowers the scale
    advice_…      next step for a person, after a loss or gradient that is not finite and after a lack of memory
    """

    clip_norm: float | None = None
    untimed_steps: int = 0
    separate_terms: tuple[str, ...] = ()
    smallest_part: str = "a whole batch"
    advice_not_finite: str = "lower the learning rate"
    advice_no_memory: str = "use a device with more memory; the run goes on from its last checkpoint"

    def __init__(
        self,
        *,
        trained: dict[str, nn.Parameter],
        optimiser: torch.optim.Optimizer,
        progress: Progress,
        checkpoint: Path,
        identity: object,
        device: torch.device,
        where: object,
        ranks: Processes | None = None,
        precision: Precision = "float32",
    ):
        self.trained, self.optimiser, self.progress = trained, optimiser, progress
        self.device, self.where, self.ranks = device, where, ranks or Processes()
        self.precision = precision_on(device, precision)
        self.scaler = torch.amp.GradScaler(device.type) if self.precision == "float16" else None
        self.checkpoint = Checkpoint(checkpoint, [CHECKPOINT_FORMAT, identity])
        self.separate_gradients: dict[str, dict[str, Tensor]] = {}

    # ------------------------------------------------------------------------------------- what a subclass defines

    @abstractmethod
    def losses(self, part: Any, normalisers: dict[str, Tensor] | None) -> dict[str, Tensor]:
        """The losses of a part of a batch, {term: scalar}: its share of the batch's loss.

        normalisers  of the whole batch, in all processes; None where the part is all of it
        """

    def parts(self, batch: Any) -> Sequence[Any]:
        """The batch in parts of at most `progress.micro_batch` items, which go through the model one after another."""
        return [batch]

    def normalisers(self, parts: Sequence[Any]) -> dict[str, Tensor] | None:
        """Normalisers of the losses for the whole batch in this process, before any forward pass; None if unused."""
        return None

    def learning_rate(self, group: dict) -> float:
        """Learning rate of a parameter group of the optimiser at the next step."""
        return group["lr"]

    def random_place(self) -> tuple | None:
        """The name that seeds the random draws of modules (dropout) at the next step; None if they draw nothing."""
        return None

    def adjust_gradients(self) -> None:  # noqa: B027 (a hook)
        """Change the gradients of the whole batch before they are clipped."""

    def after_step(self, losses: dict[str, float]) -> None:  # noqa: B027 (a hook)
        """Called after each step, outside of the timed seconds; `progress.step` counts the step already."""

    def state(self) -> dict:
        """The content of a checkpoint besides progress and optimiser: tensors and plain values."""
        return {"trained": {name: parameter.detach().cpu().clone() for name, parameter in self.trained.items()}}

    def load_state(self, content: dict) -> None:
        for name, value in content["trained"].items():
            self.trained[name].data.copy_(value)

    def place(self) -> str:
        """The position of the run for messages, such as "step 3"."""
        return f"step {self.progress.step + 1}"

    def describe(self, batch: Any) -> str | None:
        """The items of a batch, or of a part of it, for error messages."""
        return None

    # --------------------------------------------------------------------------------------------- many steps

    def train(self, batches: Iterable[Any], *, label: str, total: int) -> None:
        """One step for each of `total` batches, with progress and checkpoints; batches may be made as they are asked
        for."""
        progress, started = self.progress, time.monotonic()
        for batch in watched(batches, label=label, total=total):
            losses = self.step(batch)
            if progress.step >= self.untimed_steps:
                progress.seconds += time.monotonic() - started
                progress.timed_steps += 1
            progress.step += 1
            self.after_step(losses)
            self.save_if_due()
            started = time.monotonic()

    # ------------------------------------------------------------------------------------------------ one step

    def step(self, batch: Any) -> dict[str, float]:
        """One optimiser step; after an out-of-memory error with half the micro-batch and the same loss."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate(group)
        while (losses := self._try_to_accumulate(batch)) is None:
            release_memory(self.device)
            self.progress.micro_batch //= 2
            log.info("out of memory: %d images per forward pass from here on", self.progress.micro_batch)
        self._sum_gradients()
        if self.scaler is not None:
            self._unscale_gradients()
        self.adjust_gradients()
        if self._clip_gradients():
            self.optimiser.step()
            if self.scaler is not None:
                self.scaler.update()
        else:
            self._skip_step(batch)
        return losses

    def _unscale_gradients(self) -> None:
        self.scaler.unscale_(self.optimiser)
        if self.separate_gradients:
            scale = self.scaler.get_scale()
            for gradients in self.separate_gradients.values():
                for gradient in gradients.values():
                    gradient /= scale

    def _skip_step(self, batch: Any) -> None:
        """After a gradient that is not finite: go on with half the loss scale of float16, or stop if none is left."""
        if self.scaler is None or (scale := self.scaler.get_scale()) <= 1:
            self._stop_because("gradient", batch)
        self.scaler.update(scale / 2)
        self.progress.skipped_steps += 1
        log.info("%s changes nothing: a gradient is beyond float16 at loss scale %g", self.place(), scale)

    def _sum_gradients(self) -> None:
        """Sum the gradients over all processes; a process without a gradient adds zeros."""
        self.ranks.sum_gradients(self.trained.values())
        if self.ranks.size > 1:
            for gradients in self.separate_gradients.values():
                for name, parameter in self.trained.items():
                    self.ranks.add_up(gradients.setdefault(name, torch.zeros_like(parameter)))

    def _clip_gradients(self) -> bool:
        """Clip the gradients to `clip_norm`, if there is one; returns whether all are finite."""
        if self.clip_norm is not None:
            return bool(torch.isfinite(nn.utils.clip_grad_norm_(self.trained.values(), self.clip_norm)))
        gradients = [parameter.grad for parameter in self.trained.values() if parameter.grad is not None]
        return not gradients or bool(torch.stack([torch.isfinite(gradient).all() for gradient in gradients]).all())

    def _try_to_accumulate(self, batch: Any) -> dict[str, float] | None:
        """`accumulate`; None if memory ran out, here or in another process, and a smaller micro-batch can be tried."""
        self.optimiser.zero_grad(set_to_none=True)
        self.separate_gradients = {term: {} for term in self.separate_terms}
        try:
            losses = self.accumulate(batch)
        except torch.OutOfMemoryError as error:
            if self.progress.micro_batch == 1:
                raise self._no_memory(batch) from error
            losses = None
        return None if self.ranks.any(losses is None) else losses

    def accumulate(self, batch: Any) -> dict[str, float]:
        """Add up the gradients of the whole batch's loss, part by part, each divided by the whole batch's normalisers.

        Returns the loss {term: value}, of this process. The values of all parts are read at once, as each reading waits
        for the device.
        """
        if (place := self.random_place()) is not None:
            torch.manual_seed(seed_of(*place, *((self.ranks.rank,) if self.ranks.rank else ())))
        parts = self.parts(batch)
        shared = None
        if len(parts) > 1 or self.ranks.size > 1:
            own = self.normalisers(parts)
            shared = None if own is None else self.ranks.sum(own)
        computed: list[tuple[Any, dict[str, Tensor]]] = []  # part, its losses
        for part in parts:
            values = self.losses(part, shared)
            self._backward(values, sum(values.values()))
            computed.append((part, {term: value.detach() for term, value in values.items()}))
        return self._read(computed, dict.fromkeys(shared or (), 0.0))

    def _read(self, computed: list[tuple[Any, dict[str, Tensor]]], losses: dict[str, float]) -> dict[str, float]:
        """Add the losses of all parts to `losses`, from one copy off the device; stop at one that is not finite."""
        numbers = [value for _, values in computed for value in values.values()]
        read = iter(torch.stack(numbers).tolist() if numbers else ())
        for part, values in computed:
            for term in values:
                value = next(read)
                if not math.isfinite(value):
                    self._stop_because("loss", part)
                losses[term] = losses.get(term, 0.0) + value
        return losses

    def _backward(self, values: dict[str, Tensor], total: Tensor) -> None:
        """Add the gradients of a part's losses to those of the parts before it."""
        for term, separate in self.separate_gradients.items():
            gradients = torch.autograd.grad(
                self._scaled(values[term]), list(self.trained.values()), retain_graph=True, allow_unused=True
            )
            for name, gradient in zip(self.trained, gradients):
                if gradient is not None:
                    separate[name] = separate[name] + gradient if name in separate else gradient
        if self.separate_gradients:
            total = sum(value for term, value in values.items() if term not in self.separate_gradients)
        if isinstance(total, Tensor):  # some term is not separate
            self._scaled(total).backward()

    def _scaled(self, loss: Tensor) -> Tensor:
        return loss if self.scaler is None else self.scaler.scale(loss)

    def _stop_because(self, what: str, batch: Any) -> None:
        raise ConesError(
            f"the {what} is not finite at {self.place()}",
            where=self.where,
            found=self.describe(batch),
            next_step=self.advice_not_finite,
        )

    def _no_memory(self, batch: Any) -> ConesError:
        return ConesError(
            f"out of memory with {self.smallest_part} per forward pass, at {self.place()}",
            where=self.where,
            found=self.describe(batch),
            next_step=self.advice_no_memory,
        )

    # ----------------------------------------------------------------------------------------- interrupted and resumed

    def save_if_due(self, *, at_least: float | None = None) -> None:
        """Write a checkpoint if the last one is old enough (see `Checkpoint.is_due`)."""
        if self.checkpoint.is_due(at_least=at_least):
            self.save()

    def save(self) -> None:
        """Write a checkpoint: the first process does it for all, and not for a run that trains nothing."""
        if self.trained and not self.ranks.rank:
            content = {"progress": vars(self.progress), "optimiser": self.optimiser.state_dict()}
            scaler = {} if self.scaler is None else {"scaler": self.scaler.state_dict()}
            self.checkpoint.write({**content, **scaler, **self.state()})

    def resume(self) -> None:
        """Restore the checkpoint of an interrupted run of the same identity, if there is one."""
        content = self.checkpoint.read()
        if content is None:
            return
        self.progress = type(self.progress)(**content["progress"])
        self.optimiser.load_state_dict(content["optimiser"])
        if self.scaler is not None:
            self.scaler.load_state_dict(content["scaler"])
        self.load_state(content)
        log.info("resumed at %s", self.place())
