"""Pretraining: detection and grounding on painted scenes, the text encoder along with the detector."""

from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn

from cones.miniature.pretraining.curve import PretrainingRun
from cones.miniature.pretraining.decay import matrices_decay
from cones.miniature.pretraining.recipes import Recipe
from cones.miniature.pretraining.scene_batches import SceneBatch, SceneBatches, painted_ahead
from cones.miniature.pretraining.validation import Validation, language_of
from cones.models.checkpoints import build_detector, build_text_encoder, joined_state
from cones.models.losses import normalised
from cones.runtime.determinism import seed_of
from cones.runtime.progress import log
from cones.runtime.provenance import settings_digest
from cones.training.loop import TrainingLoop
from cones.training.schedules import warmup_with_cosine


class Pretrainer(TrainingLoop):
    """A new detector with a new text encoder, both drawn from the recipe's seed, trained together.

    What a model draws at random while it trains depends on the step alone, so that a run can be resumed.
    """

    progress: PretrainingRun
    advice_not_finite = "lower the learning rate of its recipe"

    def __init__(self, *, model: str, recipe: Recipe, checkpoint: Path):
        self.model, self.recipe, self.clip_norm = model, recipe, recipe.clip_norm
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of("pretraining", recipe.seed))
            self.detector, self.text_encoder = build_detector(model).train(), build_text_encoder(model).train()
        self.detector.thaw()
        self.batches = SceneBatches(model, recipe, self.detector.preprocessing, inclusive=self.detector.inclusive_boxes)
        self.validation = Validation.beside(self.batches) if recipe.validation else None
        self.modules = nn.ModuleDict({"detector": self.detector, "text_encoder": self.text_encoder})
        trained = dict(self.modules.named_parameters())
        groups = matrices_decay(trained.values(), recipe.weight_decay)
        super().__init__(
            trained=trained,
            optimiser=torch.optim.AdamW(groups, lr=recipe.learning_rate, betas=recipe.betas),
            progress=PretrainingRun(),
            checkpoint=checkpoint,
            identity=settings_digest([model, asdict(recipe)]),
            device=torch.device("cpu"),
            where=model,
        )

    def run(self) -> PretrainingRun:
        """Train to the end; a run that was cut off goes on where it stood and ends in the same weights."""
        self.resume()
        first, total = self.progress.step, len(self.batches)
        self.train(painted_ahead(self.batches, first), label=f"pretraining {self.model}: steps", total=total - first)
        return self.progress

    def learning_rate(self, group: dict) -> float:
        return warmup_with_cosine(self.recipe, self.progress.step, len(self.batches))

    def random_place(self) -> tuple:
        return "pretraining", self.recipe.seed, self.progress.step

    def losses(self, part: SceneBatch, normalisers: dict[str, Tensor] | None) -> dict[str, Tensor]:
        language = language_of(part, self.text_encoder)
        predictions = self.detector.ground(self.detector.encode_image(part.images), language, part.targets)
        return normalised(self.detector.loss(predictions, part.targets), normalisers)

    def after_step(self, losses: dict[str, float]) -> None:
        self.progress.add(losses, batch_size=self.recipe.batch_size, digits=4, label=self.model)
        seen = self.progress.step * self.recipe.batch_size
        if self.validation is not None and seen % self.recipe.validation == 0:
            scores = self.validation.scores(self.detector, self.text_encoder)
            self.detector.thaw()
            self.progress.validation.append({"images": seen, **scores})
            log.info("%s: %d images: validation %s", self.model, seen, scores)

    def state(self) -> dict:
        return {"modules": self.modules.state_dict()}

    def load_state(self, content: dict) -> None:
        self.modules.load_state_dict(content["modules"])

    def shipped_state(self) -> dict[str, Tensor]:
        """Both modules under the names of a checkpoint, in half precision: what is shipped."""
        state = joined_state(self.model, self.detector, self.text_encoder)
        return {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
