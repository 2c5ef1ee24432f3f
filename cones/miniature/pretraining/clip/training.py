"""Contrastive pretraining of `clip_nano`: each picture is to find its text in the batch, and each text its picture."""

import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from cones.miniature.pretraining.clip.batches import PictureBatch, PictureBatches
from cones.miniature.pretraining.clip.recipe import ClipRecipe
from cones.miniature.pretraining.clip.validation import NamingTest
from cones.miniature.pretraining.curve import PretrainingRun
from cones.miniature.pretraining.decay import matrices_decay
from cones.models.checkpoints import build_dual_encoder
from cones.models.clip.vit import VisionTransformer
from cones.models.dual_encoder import Tokenizer, scaled_cosines
from cones.runtime.determinism import seed_of
from cones.runtime.progress import log
from cones.runtime.provenance import settings_digest
from cones.training.loop import TrainingLoop
from cones.training.schedules import warmup_with_cosine

LARGEST_SCALE = math.log(100)  # of what cosines are multiplied by, as OpenAI trained


class ContrastivePretrainer(TrainingLoop):
    """A new model, drawn from the recipe's seed, on pictures (N, s, s, 3) uint8 that the recipe's seed painted.

    What is random in a step depends on its number alone, so that a run can be resumed.
    """

    progress: PretrainingRun
    advice_not_finite = "lower the learning rate of its recipe"

    def __init__(self, *, model: str, recipe: ClipRecipe, pictures: np.ndarray, tokenizer: Tokenizer, checkpoint: Path):
        self.name, self.recipe, self.clip_norm = model, recipe, recipe.clip_norm
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of("pretraining", recipe.seed))
            self.model = build_dual_encoder(model).train()
        self.batches = PictureBatches(recipe, pictures, tokenizer, self.model.picture_format)
        self.validation = NamingTest(tokenizer, self.model.picture_format.side)
        trained = dict(self.model.named_parameters())
        groups = matrices_decay(trained.values(), recipe.weight_decay)
        super().__init__(
            trained=trained,
            optimiser=torch.optim.AdamW(
                groups, lr=recipe.learning_rate, betas=recipe.betas, eps=recipe.epsilon, fused=True
            ),
            progress=PretrainingRun(),
            checkpoint=checkpoint,
            identity=settings_digest([model, asdict(recipe)]),
            device=torch.device("cpu"),
            where=model,
        )

    def run(self) -> PretrainingRun:
        """Train to the end; a run that was cut off goes on where it stood and ends in the same weights."""
        self.resume()
        left = range(self.progress.step, len(self.batches))
        self.train((self.batches[number] for number in left), label=f"pretraining {self.name}: steps", total=len(left))
        self.model.eval()
        return self.progress

    def learning_rate(self, group: dict) -> float:
        return warmup_with_cosine(self.recipe, self.progress.step, len(self.batches))

    def random_place(self) -> tuple:
        return "pretraining", self.recipe.seed, self.progress.step

    def losses(self, part: PictureBatch, normalisers: dict[str, Tensor] | None) -> dict[str, Tensor]:
        images = self._image_features(part.pixels)
        texts = self.model.encode_text(self.model.embed_text(part.ids), part.ends)
        logits = scaled_cosines(images, texts, self.model.logit_scale.exp())  # (B, B)
        return {"contrastive": contrastive_loss(logits, part.true)}

    def _image_features(self, pixels: Tensor) -> Tensor:
        """(B, d); of some of the patches in the first part of training."""
        if self.progress.step >= self.recipe.dropped_until * self.recipe.steps:
            return self.model.encode_image(pixels).pooled
        return features_of_some_patches(self.model.visual, pixels, self.recipe.kept_patches)

    @torch.no_grad()
    def after_step(self, losses: dict[str, float]) -> None:
        self.model.logit_scale.clamp_(max=LARGEST_SCALE)
        self.progress.add(losses, batch_size=self.recipe.batch_size, digits=4, label=self.name)
        if self.progress.step % self.recipe.validation == 0:
            scale = round(self.model.logit_scale.exp().item(), 2)
            scores = {**self.validation.scores(self.model.eval()), "scale": scale}
            self.model.train()
            self.progress.validation.append({"images": self.progress.step * self.recipe.batch_size, **scores})
            log.info("%s: step %d: validation %s", self.name, self.progress.step, scores)


def contrastive_loss(logits: Tensor, true: Tensor) -> Tensor:
    """logits (B, B), pictures x texts -> the mean cross-entropy of both directions, as CLIP's.

    A departure from CLIP: a text that is `true` (B, B) of another picture of the batch is no negative for it. We know
    what pictures show, and in a batch of 64 about one other text in every row would push away what is right.
    """
    own = torch.eye(len(logits), dtype=torch.bool, device=logits.device)
    logits = logits.masked_fill(true & ~own, -math.inf)
    target = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, target) + F.cross_entropy(logits.t(), target)) / 2


def features_of_some_patches(visual: VisionTransformer, pixels: Tensor, share: float) -> Tensor:
    """(B, d) of a random `share` of every picture's patches, none seen twice, each at its own position."""
    rows = visual.embed(pixels)  # (B, 1 + P, D)
    kept = torch.rand(len(rows), visual.patches).argsort(dim=1)[:, : round(share * visual.patches)] + 1  # (B, n)
    chosen = rows.gather(1, kept[..., None].expand(-1, -1, rows.shape[-1]))
    return visual.encode(torch.cat([rows[:, :1], chosen], dim=1)).pooled
