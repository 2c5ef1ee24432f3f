"""One resumable stage of training: modules, a loss that is a function of the step's number, a recipe."""

import copy
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from cones.cell import settings_digest
from cones.errors import ConesError
from cones.miniature.pretraining.diffusion.recipe import Stage
from cones.miniature.pretraining.training import learning_rate
from cones.progress import log, watched
from cones.resume import read_checkpoint, write_checkpoint

SECONDS_BETWEEN_CHECKPOINTS = 60
STEPS_PER_POINT = 250  # of the loss curve


@dataclass
class StageRun:
    """Where a stage stands; saved whole in a checkpoint. `curve` holds mean losses over `STEPS_PER_POINT` steps."""

    step: int = 0
    seconds: float = 0.0
    sum: float = 0.0
    curve: list[dict[str, float]] = field(default_factory=list)


class StageTraining:
    """Trains `modules` to the end of a stage; `average` is then the moving average of their weights."""

    def __init__(
        self,
        *,
        name: str,
        modules: nn.ModuleDict,
        loss: Callable[[int], Tensor],
        stage: Stage,
        inputs: str,
        checkpoint: Path,
    ):
        """`loss(step)` is the loss of that step's batch; `inputs` digests what it depends on besides the recipe."""
        self.name, self.modules, self.loss, self.stage, self.checkpoint = name, modules, loss, stage, checkpoint
        self.identity = settings_digest([name, asdict(stage), inputs])
        self.average = copy.deepcopy(modules).requires_grad_(False)
        self.optimiser = torch.optim.AdamW(
            modules.parameters(),
            lr=stage.learning_rate,
            betas=stage.betas,
            weight_decay=stage.weight_decay,
            fused=True,
        )
        self.run_so_far = StageRun()

    def run(self) -> StageRun:
        """A stage that was cut off goes on where it stood and ends in the same weights."""
        self._resume()
        run, saved = self.run_so_far, time.monotonic()
        started = saved - run.seconds
        self.modules.train()
        for _ in watched(range(run.step, self.stage.steps), label=f"{self.name}: steps"):
            self._step()
            run.seconds = time.monotonic() - started
            if time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
                self._save()
                saved = time.monotonic()
        self._save()
        self.average.eval()
        return run

    def _step(self) -> None:
        run, stage = self.run_so_far, self.stage
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(stage, run.step, stage.steps)
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.loss(run.step)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.modules.parameters(), stage.clip_norm)
        if not torch.isfinite(norm) or not torch.isfinite(loss):
            raise ConesError(
                f"the loss or its gradient is not finite at step {run.step + 1}",
                where=self.name,
                next_step="lower the learning rate of its recipe",
            )
        self.optimiser.step()
        run.step += 1
        past = min(stage.average, (1 + run.step) / (10 + run.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.modules.parameters()), 1 - past)
        run.sum += loss.item()
        if run.step % STEPS_PER_POINT == 0:
            mean = round(run.sum / STEPS_PER_POINT, 5)
            run.curve.append({"images": run.step * stage.batch_size, "loss": mean})
            run.sum = 0.0
            log.info("%s: %d images, loss %.4f", self.name, run.step * stage.batch_size, mean)

    def _save(self) -> None:
        content = {
            "identity": self.identity,
            "run": vars(self.run_so_far),
            "modules": self.modules.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        write_checkpoint(self.checkpoint, content)

    def _resume(self) -> None:
        content = read_checkpoint(self.checkpoint, self.identity)
        if content is None:
            return
        self.run_so_far = StageRun(**content["run"])
        self.modules.load_state_dict(content["modules"])
        self.average.load_state_dict(content["average"])
        self.optimiser.load_state_dict(content["optimiser"])
        log.info("%s: taken up again at step %d", self.name, self.run_so_far.step)
