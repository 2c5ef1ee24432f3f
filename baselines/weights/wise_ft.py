"""WiSE-FT: weights between those of zero-shot and those after fine-tuning (CVPR 2022, arXiv 2109.01903).

Official code: mlfoundations/wise-ft 58b7a4b, src/wise_ft.py, src/models, src/args.py. A head of one row and a bias for
each class starts at exp(logit_scale) times the unit text and 0, and reads unit image features; after fine-tuning every
weight is (1 - a) of its start plus a of its end. Published: AdamW 3e-5, decay 0.1 on every tensor (biases, norms and
head too), gradients clipped to norm 1, cosine step by step, 10 epochs, batch 512, 500 warm-up steps, 80 templates; all
values of a are reported, a = 0.5 where none is chosen: `curve`, the table `survey_wise_ft`.

The form here is the head alone behind the frozen encoder, as the code's `--freeze-encoder`, where a is the first best
of 0, 0.1 … 1 on validation; `wise_ft_full.py` has the whole image encoder. What differs: no warm-up, batch 32,
the set's one template. Batch normalisation keeps the statistics of pretraining.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cones.methods.classifier import Choice, Classifier, ClassifierInputs, ClassifierMethod, Recipe, Tune
from cones.methods.first_best import first_best
from cones.models.dual_encoder import DualEncoder, ImageFeatures, unit

METHOD = {
    "name": "wise_ft",
    "classifier": "WiSEFT",
    "not_for_detectors": "mixes a head on one vector of an image; of a detector all weights are mixed (wise_ft_full)",
    "label": "WiSE-FT (head)",
    "block": "weights",
    "has_vectors": False,
    "survey": {
        "paper": "CVPR 2022, arXiv 2109.01903",
        "idea": "a tuned head is mixed with its zero-shot start, weight by weight",
        "attaches": "behind the image encoder",
        "trains": "a row and a bias for each class",
        "quirk": "the share is chosen on validation; the published code shows all of them on test",
    },
}
ALPHAS = [step / 10 for step in range(11)]


class Head(Classifier):
    """A linear layer on unit features: those given, or those of an encoder that trains with it.

    line  once it is tuned: its weights before and after, the a that it has, and how many are shown
    """

    line: tuple[dict[str, Tensor], dict[str, Tensor], float, int]

    def __init__(self, text: Tensor, scale: float, encoder: DualEncoder | None = None):
        super().__init__()
        self.weight = nn.Parameter(scale * unit(text))
        self.bias = nn.Parameter(torch.zeros(len(text)).to(text))
        self.encoder = encoder
        for name, parameter in encoder.named_parameters() if encoder else ():
            parameter.requires_grad_(name.startswith(encoder.image_prefix))

    def train(self, mode: bool = True) -> "Head":
        super().train(mode)
        if self.encoder:
            self.encoder.eval()
        return self

    def forward(self, images: ImageFeatures | Tensor) -> Tensor:
        pooled = (self.encoder.encode_image(images) if self.encoder else images).pooled
        return F.linear(unit(pooled), self.weight, self.bias)

    def trained_weights(self) -> dict[str, Tensor]:
        return {name: value.detach().clone() for name, value in self.named_parameters() if value.requires_grad}

    @torch.no_grad()
    def mix(self, start: dict[str, Tensor], end: dict[str, Tensor], alpha: float) -> "Head":
        """Set every trained weight to (1 - alpha) of its start plus alpha of its end."""
        for name, value in self.named_parameters():
            if value.requires_grad:
                value.copy_((1 - alpha) * start[name] + alpha * end[name])
        return self


class WiSEFT(ClassifierMethod):
    """The head trains; with a = 0 it is zero-shot."""

    selection = "val"
    recipe = Recipe(
        optimiser="adamw",
        learning_rate=3e-5,
        weight_decay=0.1,
        epochs=10,
        schedule="cosine_per_step",
        warmup_epochs=0,
        clip_norm=1.0,
        options={"alpha": 0.5, "points": 11},
    )

    def classifier(self, inputs: ClassifierInputs) -> Head:
        return Head(inputs.class_texts(), inputs.logit_scale)

    def fit(self, classifier: Head, inputs: ClassifierInputs, tune: Tune) -> Choice:
        """Train, then choose a on validation, or take the option's where there is no validation image."""
        start = classifier.trained_weights()
        tune(classifier)
        end = classifier.trained_weights()
        found = self.chosen(classifier, inputs, start, end)
        classifier.line = (start, end, found.taken["alpha"], self.options(inputs)["points"])
        classifier.mix(start, end, found.taken["alpha"])
        return found

    def curve(self, classifier: Head) -> Iterator[tuple[float, Head]]:
        """So many mixtures as `points` says, evenly along the line from start to end."""
        start, end, taken, points = classifier.line
        for place in range(points):
            alpha = place / (points - 1)
            yield alpha, classifier.mix(start, end, alpha)
        classifier.mix(start, end, taken)

    @torch.no_grad()
    def chosen(self, head: Head, inputs: ClassifierInputs, start: dict[str, Tensor], end: dict[str, Tensor]) -> Choice:
        val = inputs.val
        if not len(val):
            return Choice({"alpha": self.options(inputs)["alpha"]})
        return first_best("alpha", ALPHAS, lambda alpha: head.mix(start, end, alpha)(val.features), val.labels)
