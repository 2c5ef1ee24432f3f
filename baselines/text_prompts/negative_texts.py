"""DualCoOp on detectors: a positive and a negative text of each class (arXiv 2206.09541; code and values:
`dualcoop.py`).

Two contexts of N vectors, each shared by all classes; the caption is read with each of them, and the detector hears one
after the other, twice the rows of CoOp. At every place (point of its maps, query) the probability of a class is the
published softmax over its pair, which is the sigmoid of positive minus negative logit, name piece by name piece:

    logit = positive - weight (negative - usual)

The detector's own losses and detections have this logit; the rows of the negative caption have none of their own. The
two logits of a pair share what says that most places show nothing, and it cancels: with both contexts alike every place
would have the probability 1/2. So `usual`, the mean negative logit over all places of the training images before the
first step, is taken off, and a place that is usual keeps the positive logit; it is one number that never changes. It
is ours: with `above_usual: false` it is 0, and the difference is the published one.

Both contexts start at random as published, so that training does not begin at zero-shot: the names say the same in
both. With `weight` 0 there is no negative caption and the method is CoOp, bit for bit. Earlier decoder layers and
denoising queries learn the positive text alone; which queries there are depends on what both captions say. Left out:
the asymmetric loss (the detector's focal loss weighs present and absent classes) and the published weights of regions,
which here are places with labels of their own.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from baselines.text_prompts.caption import caption_with_context
from baselines.text_prompts.regions import SeveralCaptions
from cones.methods.method import PromptInputs, TrainingImages
from cones.methods.places import ChangedScores
from cones.methods.prompts import SoftCaption, random_vectors
from cones.models.detector import GroundedDetector, Predictions
from cones.models.language import LanguageFeatures


class TwoCaptions(SeveralCaptions):
    """The caption with the positive context, then with the negative one, vectors (2, N, D); without a negative one
    (1, N, D) it is that of CoOp."""

    def __init__(self, caption: SoftCaption, vectors: Tensor, *, weight: float, above_usual: bool):
        super().__init__(caption, vectors)
        self.weight, self.above_usual = weight, above_usual
        self.register_buffer("usual", torch.zeros(()))

    def negative_logits(self, logits: Tensor) -> Tensor:
        """(B, P, L) of what the detector hears -> (B, P, rows), at the rows of the positive caption."""
        return logits[..., self.rows : 2 * self.rows]

    def positive_alone(self, language: LanguageFeatures) -> LanguageFeatures:
        """The same rows, of which those of the negative caption stand for nothing and take part in no loss."""
        first = torch.arange(language.mask.shape[1], device=language.mask.device) < self.rows
        return replace(language, mask=language.mask & first, class_positions=self.of_each(language.class_positions)[0])


class ContextAndNegative(ChangedScores):
    """Both contexts train, and serve any classes."""

    unseen_classes = True
    options = {"weight": 1.0, "above_usual": True}  # noqa: RUF012 (nobody changes it)

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> TwoCaptions:
        own, width = self.own(prompt_inputs.settings), prompt_inputs.text_encoder.width
        contexts = range(2 if own["weight"] else 1)
        vectors = torch.cat([random_vectors(prompt_inputs, width, shared=True) for _ in contexts])
        return TwoCaptions(caption_with_context(prompt_inputs, vectors[:1]), vectors, **own)

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return name == "prompt.caption.vectors"

    def before_epoch(
        self,
        model: GroundedDetector,
        prompt: TwoCaptions,
        epoch: int,
        images: Callable[[], Iterator[TrainingImages]],
    ) -> None:
        if epoch or not (prompt.weight and prompt.above_usual):
            return
        means = []
        for some in images():
            predictions = model.ground(some.pyramid, prompt.for_images(some.pyramid))
            stands = prompt.positive_alone(predictions.language).class_positions.any(dim=1)[:, : prompt.rows]  # (B, L)
            negative = prompt.negative_logits(model.scored_places(predictions).logits.float())
            means.append(negative.transpose(1, 2)[stands].mean())
        prompt.usual.copy_(torch.stack(means).mean())

    def adjust_predictions(self, model: GroundedDetector, prompt: TwoCaptions, predictions: Predictions) -> Predictions:
        if not prompt.weight:
            return predictions
        language, logits = prompt.positive_alone(predictions.language), model.scored_places(predictions).logits
        away = prompt.weight * (prompt.negative_logits(logits) - prompt.usual)
        away = torch.nn.functional.pad(away, (0, logits.shape[-1] - prompt.rows))  # (B, P, L)
        of_classes = language.class_positions.any(dim=1)[:, None]  # (B, 1, L)
        changed = model.with_logits(predictions, torch.where(of_classes, logits - away, logits))
        return replace(changed, language=language)
