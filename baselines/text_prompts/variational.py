"""Variational prompts: a random vector on top of the context, of which a distribution is learned (ICCV 2023).

"Bayesian Prompt Learning", arXiv 2210.02390. Official code: saic-fi/Bayesian-Prompt-Learning 8a73fff, trainers/vpt.py,
configs/trainers/VPT, scripts/vpt. r = mu + eps exp(l/2) with eps from N(0, 1); one r is added to all M = 4 vectors ("a
photo of a") of all classes; S draws give S classifiers. Loss: -log of the mean over draws of the probability of the
right class + 0.001 KL(N(mu, exp l) || N(0, 1)), KL being a mean over the w dimensions. Answers are the log of the mean
probability. `posterior`: free, mu and l are two rows (starts: zeros, uniform in 0 … 1), or image, each is an MLP (d,
d/2, d/2, w; ELU) of the unit image feature. Context and posterior train by SGD 0.002, batch 1, 10 epochs, S = 10; the
published S (5 … 40) and epochs (10 … 60) were chosen set by set.

Code and paper: the paper's method is conditional on the image; every published script runs the free one, the default.
What differs: the draws of test time are made once, for all images, so that an answer depends on no other image. On a
detector: `random_context.py`.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from baselines.text_prompts.context import START, WORDS, ContextClassifier, ContextTexts, image_by_image, images_in
from baselines.text_prompts.coop import CoOp
from baselines.text_prompts.posteriors import FreePosterior, ImagePosterior, divergence
from baselines.text_prompts.random_context import RandomContextOfImage
from cones.methods.classifier import ClassifierInputs, Recipe, choice
from cones.models.dual_encoder import ImageFeatures, unit
from cones.models.losses import LossTerm, LossTerms

METHOD = {
    "name": "variational",
    "class": "PosteriorOfImage",
    "classifier": "VariationalPrompts",
    "label": "Variational prompts",
    "block": "text_prompts",
    "inputs": ["text_encoder"],
    "start_std": "word",
    "has_vectors": False,
    "survey": {
        "paper": "ICCV 2023, arXiv 2210.02390",
        "idea": "a random vector on the context, whose distribution is learned",
        "attaches": "text encoder, input",
        "trains": "4 vectors and a mean and variance",
        "quirk": "the paper conditions on the image, every published script does not",
    },
}
TEXTS_AT_ONCE = 1024  # through the text encoder; images are taken in parts, one at least


class PosteriorOfImage(RandomContextOfImage):
    """On a detector: context and the posterior of the image train."""


class RandomContext(ContextClassifier):
    """`draws` (S, 1, w): eps at test."""

    def __init__(
        self,
        texts: ContextTexts,
        context: Tensor,
        scale: float,
        *,
        posterior: nn.Module,
        draws: Tensor,
        weight: float,
    ):
        super().__init__(texts, context, scale)
        self.posterior, self.weight = posterior, weight
        self.register_buffer("draws", draws)

    @property
    def keeps_texts(self) -> bool:
        return isinstance(self.posterior, FreePosterior)

    def log_probabilities(self, images: Tensor, draws: Tensor) -> Tensor:
        """Images (B, d) and eps (S, B or 1, w) -> (S, B, K), of each draw."""
        mean, log_variance = self.posterior(unit(images))

        def made() -> Tensor:
            added = mean + draws * (log_variance / 2).exp()  # (S, B or 1, w)
            return self.texts((self.context + added[:, :, None])[:, :, None])

        values = (self.context, mean, log_variance, draws)
        texts = self.kept.at_test(self, values, made) if self.keeps_texts else made()  # (S, B or 1, K, d)
        return F.log_softmax(image_by_image(images, texts.expand(-1, len(images), -1, -1), self.scale), -1)

    def forward(self, images: ImageFeatures) -> Tensor:
        parts = images.pooled.split(max(1, TEXTS_AT_ONCE // (len(self.texts) * len(self.draws))))
        return torch.cat([mean_probability(self.log_probabilities(part, self.draws)) for part in parts])

    def divergence(self, images: Tensor) -> Tensor:
        """KL from the standard normal distribution, mean over dimensions: (B or 1,)."""
        return divergence(*self.posterior(unit(images)))


class VariationalPrompts(CoOp):
    """Context and posterior train, and serve any classes."""

    recipe = Recipe(
        optimiser="sgd",
        learning_rate=2e-3,
        epochs=10,
        batch_size=1,
        options={**START, "words": WORDS, "posterior": "free", "draws": 10, "weight": 1e-3},
    )

    def with_context(self, inputs: ClassifierInputs, context: Tensor) -> RandomContext:
        own, encoder = self.options(inputs), inputs.encoder
        if choice("posterior", own["posterior"], ("free", "image")) == "free":
            posterior = FreePosterior(encoder.text_width, inputs.generator)
        else:
            posterior = ImagePosterior(encoder.width, encoder.text_width, inputs.generator)
        draws = torch.randn(own["draws"], 1, encoder.text_width, generator=inputs.generator).to(context)
        given = {"posterior": posterior.to(context.device), "draws": draws, "weight": own["weight"]}
        return RandomContext(self.texts(inputs, context.shape[-2]), context, inputs.logit_scale, **given)

    def for_classes(self, classifier: RandomContext, inputs: ClassifierInputs) -> RandomContext:
        texts = self.texts(inputs, classifier.texts.vectors)
        given = {"posterior": classifier.posterior, "draws": classifier.draws, "weight": classifier.weight}
        return RandomContext(texts, classifier.context, inputs.logit_scale, **given)

    def loss_terms(self, classifier: RandomContext, images: ImageFeatures, labels: Tensor) -> LossTerms:
        pooled, count = images.pooled, images_in(labels)
        shape = len(classifier.draws), len(labels), classifier.draws.shape[-1]
        draws = torch.randn(shape).to(pooled)  # PyTorch's own generator, which the training seeds at each step
        task = F.nll_loss(mean_probability(classifier.log_probabilities(pooled, draws)), labels, reduction="sum")
        divergence = classifier.divergence(pooled).expand(len(labels)).sum()
        return {"task": LossTerm(task, count), "divergence": LossTerm(classifier.weight * divergence, count)}


def mean_probability(log_probabilities: Tensor) -> Tensor:
    """(S, B, K) -> (B, K), the log of the mean over draws."""
    return log_probabilities.logsumexp(0) - math.log(len(log_probabilities))
