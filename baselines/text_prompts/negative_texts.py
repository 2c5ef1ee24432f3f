"""DualCoOp on detectors: a positive and a negative text of each class (arXiv 2206.09541; code and values:
`dualcoop.py`).

Two contexts of N vectors, each shared by all classes; the caption is read with each of them, and the detector hears one
after the other, twice the rows of CoOp. At every place (point of its maps, query) the probability of a class is the
published softmax over its pair, which is the sigmoid of positive minus negative logit, name piece by name piece:

    logit = positive - weight negative

The detector's own losses and detections have this logit; the rows of the negative caption have none of their own. The
two logits of a pair share what says that most places show nothing, and it cancels: near the start, where both contexts
say little beside the name, every place has a probability of about 1/2, and the background is what training learns
first. A negative logit counted from its mean before training had a lower validation AP on `miniature`'s three datasets
of rates (24.5 for 30.8) and was left out.

Both contexts start at random as published, so that training does not begin at zero-shot: the names say the same in
both. With `weight` 0 there is no negative caption and the method is CoOp, bit for bit. Earlier decoder layers and
denoising queries learn the positive text alone; which queries there are depends on what both captions say. Left out:
the asymmetric loss (the detector's focal loss weighs present and absent classes) and the published weights of regions,
which here are places with labels of their own.
"""

from dataclasses import replace

import torch
from torch import Tensor

from baselines.text_prompts.caption import caption_with_context
from baselines.text_prompts.regions import FixedCaptions, RowsOfCaptions, SeveralCaptions
from cones.methods.method import PromptInputs
from cones.methods.places import ChangedScores
from cones.methods.prompts import Prompt, SoftCaption, random_vectors
from cones.methods.settings import CellSettings
from cones.models.detector import GroundedDetector, Predictions
from cones.models.language import LanguageFeatures


class PairOfCaptions(RowsOfCaptions):
    """The caption with the positive context, then with the negative one; without a negative one it is that of CoOp.

    weight  of the negative logits
    """

    weight: float

    def negative_logits(self, logits: Tensor) -> Tensor:
        """(B, P, L) of what the detector hears -> (B, P, rows), at the rows of the positive caption."""
        return logits[..., self.rows : 2 * self.rows]

    def positive_alone(self, language: LanguageFeatures) -> LanguageFeatures:
        """The same rows, of which those of the negative caption stand for nothing and take part in no loss."""
        first = torch.arange(language.mask.shape[1], device=language.mask.device) < self.rows
        return replace(language, mask=language.mask & first, class_positions=self.of_each(language.class_positions)[0])


class FixedPair(FixedCaptions, PairOfCaptions):
    """What is left of `TwoCaptions` once its contexts are learned."""

    def __init__(self, language: LanguageFeatures, *, weight: float):
        super().__init__(language, 2 if weight else 1)
        self.weight = weight


class TwoCaptions(SeveralCaptions, PairOfCaptions):
    """Vectors (2, N, D), or (1, N, D) without a negative context."""

    def __init__(self, caption: SoftCaption, vectors: Tensor, *, weight: float):
        super().__init__(caption, vectors)
        self.weight = weight

    def at_test(self) -> FixedPair:
        return FixedPair(self.without_images(), weight=self.weight)


class ContextAndNegative(ChangedScores):
    """Both contexts train, and serve any classes."""

    unseen_classes = True
    options = {"weight": 1.0}  # noqa: RUF012 (nobody changes it)

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> TwoCaptions:
        own, width = self.own(prompt_inputs.settings), prompt_inputs.text_encoder.width
        contexts = range(2 if own["weight"] else 1)
        vectors = torch.cat([random_vectors(prompt_inputs, width, shared=True) for _ in contexts])
        return TwoCaptions(caption_with_context(prompt_inputs, vectors[:1]), vectors, **own)

    def needs_prompt_at_test(self, prompt: Prompt) -> bool:
        return False

    def prompt_at_test(self, language: LanguageFeatures, settings: CellSettings) -> FixedPair:
        return FixedPair(language, **self.own(settings))

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return name == "prompt.caption.vectors"

    def adjust_predictions(
        self, model: GroundedDetector, prompt: PairOfCaptions, predictions: Predictions
    ) -> Predictions:
        if not prompt.weight:
            return predictions
        language, logits = prompt.positive_alone(predictions.language), model.scored_places(predictions).logits
        away = prompt.weight * prompt.negative_logits(logits)
        away = torch.nn.functional.pad(away, (0, logits.shape[-1] - prompt.rows))  # (B, P, L)
        of_classes = language.class_positions.any(dim=1)[:, None]  # (B, 1, L)
        changed = model.with_logits(predictions, torch.where(of_classes, logits - away, logits))
        return replace(changed, language=language)
