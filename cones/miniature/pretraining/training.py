"""Pretraining: detection and grounding on painted scenes, the text encoder along with the detector."""

import time
from dataclasses import asdict, dataclass, field
from math import cos, pi
from pathlib import Path

import torch
from torch import Tensor, nn

from cones.cell import settings_digest
from cones.determinism import seed_of
from cones.errors import ConesError
from cones.language import LanguageFeatures
from cones.losses import normalised
from cones.miniature.pretraining.recipes import Recipe
from cones.miniature.pretraining.scene_batches import SceneBatch, SceneBatches, painted_ahead
from cones.models.checkpoints import build_detector, build_text_encoder, joined_state
from cones.progress import log, watched
from cones.resume import read_checkpoint, write_checkpoint

SECONDS_BETWEEN_CHECKPOINTS = 120
STEPS_PER_POINT = 250  # of the loss curve


@dataclass
class Run:
    """Where a run stands; saved whole in a checkpoint. `curve` holds means over `STEPS_PER_POINT` steps."""

    step: int = 0
    seconds: float = 0.0
    sums: dict[str, float] = field(default_factory=dict)
    curve: list[dict[str, float]] = field(default_factory=list)


class Pretrainer:
    """A new detector with a new text encoder, both drawn from the recipe's seed, trained together.

    What a model draws at random while it trains depends on the step alone, so that a run can be taken up again.
    """

    def __init__(self, *, model: str, recipe: Recipe, checkpoint: Path):
        self.model, self.recipe, self.checkpoint = model, recipe, checkpoint
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of("pretraining", recipe.seed))
            self.detector, self.text_encoder = build_detector(model).train(), build_text_encoder(model).train()
        self.detector.thaw()
        self.batches = SceneBatches(model, recipe, self.detector.preprocessing)
        self.parts = nn.ModuleDict({"detector": self.detector, "text_encoder": self.text_encoder})
        self.trained = dict(self.parts.named_parameters())
        matrices = [p for p in self.trained.values() if p.ndim > 1]
        others = [p for p in self.trained.values() if p.ndim <= 1]
        groups = [{"params": matrices, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
        self.optimiser = torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=recipe.betas)
        self.run_so_far = Run()

    def run(self) -> Run:
        """Train to the end; a run that was cut off goes on where it stood and ends in the same weights."""
        self._resume()
        run, saved = self.run_so_far, time.monotonic()
        started = saved - run.seconds
        label = f"pretraining {self.model}: steps"
        for batch in watched(painted_ahead(self.batches, run.step), label=label, total=len(self.batches) - run.step):
            self._step(batch)
            run.seconds = time.monotonic() - started
            if time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
                self._save()
                saved = time.monotonic()
        return run

    def state(self) -> dict[str, Tensor]:
        """Both modules under the names of a checkpoint, in half precision: what is shipped."""
        state = joined_state(self.model, self.detector, self.text_encoder)
        return {name: value.half() if value.is_floating_point() else value for name, value in state.items()}

    def _step(self, batch: SceneBatch) -> None:
        run = self.run_so_far
        torch.manual_seed(seed_of("pretraining", self.recipe.seed, run.step))
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(self.recipe, run.step, len(self.batches))
        self.optimiser.zero_grad(set_to_none=True)
        hidden = self.text_encoder(input_ids=batch.ids, mask=batch.mask, phrases=batch.phrases)  # (B, L, D)
        language = LanguageFeatures(hidden, batch.mask, batch.class_positions, batch.phrases)
        predictions = self.detector.ground(self.detector.encode_image(batch.images), language, batch.targets)
        terms = normalised(self.detector.loss(predictions, batch.targets))
        total = sum(terms.values())
        total.backward()
        norm = nn.utils.clip_grad_norm_(self.trained.values(), self.recipe.clip_norm)
        if not torch.isfinite(norm) or not torch.isfinite(total):
            raise ConesError(
                f"the loss or its gradient is not finite at step {run.step + 1}",
                where=self.model,
                next_step="lower the learning rate of its recipe",
            )
        self.optimiser.step()
        run.step += 1
        for name, value in terms.items():
            run.sums[name] = run.sums.get(name, 0.0) + value.item()
        if run.step % STEPS_PER_POINT == 0:
            means = {name: round(value / STEPS_PER_POINT, 4) for name, value in run.sums.items()}
            run.curve.append({"images": run.step * self.recipe.batch_size, **means})
            run.sums = {}
            log.info("%d images: %s", run.step * self.recipe.batch_size, means)

    def _save(self) -> None:
        content = {
            "identity": settings_digest(asdict(self.recipe)),
            "run": vars(self.run_so_far),
            "state": self.parts.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        write_checkpoint(self.checkpoint, content)

    def _resume(self) -> None:
        content = read_checkpoint(self.checkpoint, settings_digest(asdict(self.recipe)))
        if content is None:
            return
        self.run_so_far = Run(**content["run"])
        self.parts.load_state_dict(content["state"])
        self.optimiser.load_state_dict(content["optimiser"])
        log.info("taken up again at step %d", self.run_so_far.step)


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Linear rise over `warmup_steps`, then half a cosine down to `final_rate` of the peak."""
    if step < recipe.warmup_steps:
        return recipe.learning_rate * (step + 1) / recipe.warmup_steps
    along = (step - recipe.warmup_steps) / max(steps - recipe.warmup_steps, 1)
    return recipe.learning_rate * (recipe.final_rate + (1 - recipe.final_rate) * (1 + cos(pi * along)) / 2)
