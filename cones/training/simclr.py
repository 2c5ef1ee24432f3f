"""A small image encoder trained on pictures without labels by SimCLR: the second encoder of SVL-Adapter.

SimCLR (Chen et al. 2020, arXiv 2002.05709, section 2): two random views of each picture of a batch; of all other views,
each has to find its partner by cosine. The encoder here is a small convolutional one of this project, where the paper
has a ResNet-50: one training of a set serves all its cells.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from cones.models.dual_encoder import unit
from cones.runtime.determinism import generator, seed_of
from cones.runtime.errors import ConesError
from cones.runtime.strict import Strict
from cones.training.loop import Progress, TrainingLoop

GREY = (0.299, 0.587, 0.114)  # of red, green and blue in brightness


class SimCLRRecipe(Strict):
    """How the encoder is trained. Rates and sizes are this project's own, views and loss are SimCLR's."""

    steps: int = Field(200, ge=1)
    batch_size: int = Field(64, ge=2, description="pictures a step, two views of each")
    learning_rate: float = Field(1e-3, gt=0)
    weight_decay: float = Field(1e-4, ge=0)
    temperature: float = Field(0.2, gt=0)
    side: int = Field(48, ge=16, description="of a view, in pixels")
    smallest_crop: float = Field(0.2, gt=0, le=1, description="share of a picture's area")
    jitter: float = Field(0.4, ge=0, lt=1, description="of brightness, contrast and saturation, 80 % of the time")
    grey: float = Field(0.2, ge=0, le=1, description="share of views without colour")


class SmallEncoder(nn.Module):
    """Pictures (B, 3, S, S), 0 to 1 -> features (B, 128): a stem and three residual blocks, each of stride 2."""

    width = 128

    def __init__(self) -> None:
        super().__init__()
        widths = (32, 32, 64, self.width)
        self.stem = nn.Sequential(*_convolution(3, widths[0], stride=2), nn.ReLU())
        self.blocks = nn.Sequential(*(Block(i, o) for i, o in itertools.pairwise(widths)))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.blocks(self.stem(pictures - 0.5)).mean((2, 3))


class Block(nn.Module):
    """Two 3 x 3 convolutions, the first of stride 2, beside a 1 x 1 convolution of stride 2."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.convolutions = nn.Sequential(
            *_convolution(inputs, outputs, stride=2), nn.ReLU(), *_convolution(outputs, outputs, stride=1)
        )
        self.beside = nn.Conv2d(inputs, outputs, 1, stride=2, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        return F.relu(self.convolutions(maps) + self.beside(maps))


def _convolution(inputs: int, outputs: int, *, stride: int) -> tuple[nn.Module, nn.Module]:
    return nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False), nn.GroupNorm(8, outputs)


def random_views(pictures: Tensor, recipe: SimCLRRecipe, random: torch.Generator) -> Tensor:
    """(B, 3, S, S) -> a view of each (B, 3, side, side): a random crop, mirrored half of the time, with its colours
    changed. All is drawn from `random`."""
    count = len(pictures)
    draw = lambda *shape: torch.rand(count, *shape, generator=random)  # noqa: E731
    share = (recipe.smallest_crop + (1 - recipe.smallest_crop) * draw()).sqrt()  # of the side
    centre = (2 * draw(2) - 1) * (1 - share)[:, None]  # (B, 2), of -1 to 1 over the picture
    mirrored = torch.where(draw() < 0.5, -1.0, 1.0)
    corners = torch.zeros(count, 2, 3)
    corners[:, 0, 0], corners[:, 1, 1], corners[:, :, 2] = share * mirrored, share, centre
    places = F.affine_grid(corners, (count, 3, recipe.side, recipe.side), align_corners=False)
    views = F.grid_sample(pictures, places.to(pictures), padding_mode="reflection", align_corners=False)

    strength = 1 + recipe.jitter * (2 * draw(3, 1, 1, 1) - 1)  # (B, 3: brightness, contrast, saturation, 1, 1, 1)
    strength = torch.where(draw(1, 1, 1, 1) < 0.8, strength, torch.ones(()))
    saturation = torch.where(draw(1, 1, 1) < recipe.grey, torch.zeros(()), strength[:, 2]).to(views)
    strength = strength[:, :2].to(views)
    views = views * strength[:, 0]
    mean = _brightness(views).mean((1, 2, 3), keepdim=True)
    views = mean + (views - mean) * strength[:, 1]
    grey = _brightness(views)
    return (grey + (views - grey) * saturation).clamp(0, 1)


def _brightness(pictures: Tensor) -> Tensor:
    """(B, 3, H, W) -> (B, 1, H, W)."""
    return (pictures * torch.tensor(GREY).to(pictures)[:, None, None]).sum(1, keepdim=True)


def contrastive_loss(first: Tensor, second: Tensor, temperature: float) -> Tensor:
    """NT-Xent (SimCLR, eq. 1) of two views (B, d) of each picture: the mean over all 2 B of them."""
    features = unit(torch.cat([first, second]))  # (2 B, d)
    cosines = (features @ features.T) / temperature
    cosines = cosines.masked_fill(torch.eye(len(features), dtype=torch.bool, device=features.device), -torch.inf)
    partners = torch.arange(len(features), device=features.device).roll(len(first))
    return F.cross_entropy(cosines, partners)


class SimCLRTraining(TrainingLoop):
    """Trains `encoder` and a projection, which is then left out, on pictures (n, 3, S, S), 0 to 1."""

    advice_no_memory = "lower the batch size of the self-supervised encoder"

    def __init__(
        self, pictures: Tensor, recipe: SimCLRRecipe, *, seed: int, checkpoint: Path, identity: str, where: str
    ):
        if len(pictures) < 2:
            raise ConesError(
                "a self-supervised encoder compares pictures, and there are not two",
                where=where,
                found=len(pictures),
                next_step="take a set with more training pictures",
            )
        self.pictures, self.recipe, self.seed = pictures, recipe, seed
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed_of("simclr", "start", seed))
            self.encoder, width = SmallEncoder(), SmallEncoder.width
            self.projection = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 64))
        modules = nn.ModuleDict({"encoder": self.encoder, "projection": self.projection}).to(pictures.device)
        trained = dict(modules.named_parameters())
        optimiser = torch.optim.AdamW(
            trained.values(), lr=recipe.learning_rate, weight_decay=recipe.weight_decay, fused=True
        )
        super().__init__(
            trained=trained,
            optimiser=optimiser,
            progress=Progress(),
            checkpoint=checkpoint,
            identity=[recipe.model_dump(), seed, identity],
            device=pictures.device,
            where=where,
        )

    def run(self) -> SmallEncoder:
        """Train to the end, from a checkpoint if there is one, and remove it."""
        self.resume()
        self.train(self._batches(), label="self-supervised", total=self.recipe.steps - self.progress.step)
        self.checkpoint.remove()
        return self.encoder.eval()

    def _batches(self) -> Iterator[Tensor]:
        """Rows of `pictures` of each step that is left; those of an epoch are all different."""
        size = min(self.recipe.batch_size, len(self.pictures))
        each = len(self.pictures) // size
        for step in range(self.progress.step, self.recipe.steps):
            order = torch.randperm(len(self.pictures), generator=generator("simclr", "order", self.seed, step // each))
            yield order[step % each * size :][:size]

    def losses(self, part: Tensor, normalisers: dict[str, Tensor] | None) -> dict[str, Tensor]:
        random = generator("simclr", "views", self.seed, self.progress.step)
        pictures = self.pictures[part.to(self.pictures.device)]
        views = (random_views(pictures, self.recipe, random) for _ in range(2))
        first, second = (self.projection(self.encoder(view)) for view in views)
        return {"contrastive": contrastive_loss(first, second, self.recipe.temperature)}

    def learning_rate(self, group: dict) -> float:
        """Half a cosine down to zero."""
        along = torch.tensor(torch.pi * self.progress.step / self.recipe.steps)
        return self.recipe.learning_rate * (1 + along.cos().item()) / 2


@torch.no_grad()
def encode(encoder: SmallEncoder, pictures: Tensor, recipe: SimCLRRecipe, *, at_once: int = 256) -> Tensor:
    """Features (n, 128) of whole pictures (n, 3, S, S), 0 to 1, resized to the side of a view."""
    size = (recipe.side, recipe.side)
    parts = [F.interpolate(part, size, mode="bilinear", antialias=True) for part in pictures.split(at_once)]
    return torch.cat([encoder(part) for part in parts])
