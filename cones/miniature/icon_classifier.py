"""A small classifier of icons: reads noun, colours, pattern and place; its features measure how alike pictures are."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cones.miniature.icons import COLOURS, NOUNS, PATTERNS, PLACES, Icon

ANSWERS = {"noun": NOUNS, "main": tuple(COLOURS), "second": tuple(COLOURS), "pattern": PATTERNS, "place": tuple(PLACES)}
WIDTH = 128


class IconClassifier(nn.Module):
    """`(B, 3, 32, 32)` in -1 … 1 -> features (B, 128), and from them one logit per answer to each question."""

    def __init__(self):
        super().__init__()
        layers: list[nn.Module] = []
        for before, after, stride in ((3, 32, 1), (32, 48, 2), (48, 64, 2), (64, 128, 2)):
            layers += [nn.Conv2d(before, after, 3, stride, 1), nn.GroupNorm(8, after), nn.SiLU()]
        self.body = nn.Sequential(*layers)
        self.join = nn.Linear(128 * 16, WIDTH)
        self.heads = nn.ModuleDict({question: nn.Linear(WIDTH, len(names)) for question, names in ANSWERS.items()})

    def features(self, pictures: Tensor) -> Tensor:
        return F.silu(self.join(self.body(pictures).flatten(1)))  # (B, 128, 4, 4) -> (B, 2048) -> (B, 128)

    def forward(self, pictures: Tensor) -> dict[str, Tensor]:
        features = self.features(pictures)
        return {question: head(features) for question, head in self.heads.items()}


def answers(icons: list[Icon]) -> dict[str, Tensor]:
    """{question: (B,) the right answer's number}."""
    return {
        question: torch.tensor([names.index(getattr(icon, question)) for icon in icons])
        for question, names in ANSWERS.items()
    }


def classification_loss(logits: dict[str, Tensor], right: dict[str, Tensor]) -> Tensor:
    return sum(F.cross_entropy(logits[question], right[question]) for question in ANSWERS)


@torch.no_grad()
def accuracy(classifier: IconClassifier, pictures: Tensor, icons: list[Icon]) -> dict[str, float]:
    """{question: share of right answers}."""
    logits, right = classifier(pictures), answers(icons)
    return {
        question: round((logits[question].argmax(-1) == right[question]).float().mean().item(), 3)
        for question in ANSWERS
    }
