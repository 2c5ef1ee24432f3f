"""One resumable stage of training: modules, a loss that is a function of the step's number, a recipe."""

import copy
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from cones.miniature.pretraining.curve import PretrainingRun
from cones.miniature.pretraining.diffusion.recipe import Stage
from cones.runtime.provenance import settings_digest
from cones.training.loop import TrainingLoop
from cones.training.schedules import warmup_with_cosine


class StageTraining(TrainingLoop):
    """Trains `modules` to the end of a stage; `average` is then the moving average of their weights."""

    progress: PretrainingRun
    advice_not_finite = "lower the learning rate of its recipe"

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
        self.name, self.modules, self.loss, self.stage, self.clip_norm = name, modules, loss, stage, stage.clip_norm
        self.average = copy.deepcopy(modules).requires_grad_(False)
        super().__init__(
            trained=dict(modules.named_parameters()),
            optimiser=torch.optim.AdamW(
                modules.parameters(),
                lr=stage.learning_rate,
                betas=stage.betas,
                weight_decay=stage.weight_decay,
                fused=True,
            ),
            progress=PretrainingRun(),
            checkpoint=checkpoint,
            identity=settings_digest([name, asdict(stage), inputs]),
            device=torch.device("cpu"),
            where=name,
        )

    def run(self) -> PretrainingRun:
        """A stage that was cut off goes on where it stood and ends in the same weights; a finished one is loaded."""
        self.resume()
        left = range(self.progress.step, self.stage.steps)
        self.modules.train()
        self.train(left, label=f"{self.name}: steps", total=len(left))
        self.save()
        self.average.eval()
        return self.progress

    def learning_rate(self, group: dict) -> float:
        return warmup_with_cosine(self.stage, self.progress.step, self.stage.steps)

    def losses(self, part: int, normalisers: dict[str, Tensor] | None) -> dict[str, Tensor]:
        return {"loss": self.loss(part)}

    @torch.no_grad()
    def after_step(self, losses: dict[str, float]) -> None:
        steps = self.progress.step
        past = min(self.stage.average, (1 + steps) / (10 + steps))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.modules.parameters()), 1 - past)
        self.progress.add(losses, batch_size=self.stage.batch_size, digits=5, label=self.name)

    def state(self) -> dict:
        return {"modules": self.modules.state_dict(), "average": self.average.state_dict()}

    def load_state(self, content: dict) -> None:
        self.modules.load_state_dict(content["modules"])
        self.average.load_state_dict(content["average"])
