"""PLOT on detectors: several contexts of a class, transported to the points of a region (arXiv 2210.01253; `plot.py`).

N = 4 contexts, each of the vectors of the suite, which all classes share; the caption is read with each of them, and
the four stand one after another in what the detector hears. A place's region are the points around it that the family
names (`region_points`; GLIP: 3 x 3 on its level). Between M points and N texts of a class (unit means of its rows, as
the head compares them) the plan is the published one; a class's logit is the sum of plan x logit of point and text, so
that one context and a region of one point give the detector's own. Every row of the class gets it, in the losses too.
As published, all places of a batch stop their Sinkhorn steps together.
"""

import torch
from torch import Tensor, nn

from baselines.text_prompts.caption import caption_with_context
from baselines.text_prompts.transport import transport_plan
from cones.methods.method import PromptInputs
from cones.methods.places import ChangedScores, class_means, on_rows
from cones.methods.prompts import FixedPrompt, Prompt, PromptContext, SoftCaption, check_length, random_vectors
from cones.methods.settings import CellSettings
from cones.models.detector import GroundedDetector, Predictions, ScoredPlaces
from cones.models.dual_encoder import unit
from cones.models.language import LanguageFeatures
from cones.models.missing_places import reason_against_regions


class RowsOfCaptions(Prompt):
    """Several captions one after another in what the detector hears.

    contexts  how many; rows  of each caption
    """

    contexts: int
    rows: int

    def of_each(self, class_positions: Tensor) -> list[Tensor]:
        """(B, K, L') -> for each context (B, K, L'), the rows of its caption alone."""
        caption = torch.arange(class_positions.shape[2], device=class_positions.device) // self.rows  # (L',)
        return [class_positions & (caption == number) for number in range(self.contexts)]


class FixedCaptions(FixedPrompt, RowsOfCaptions):
    """What is left of `SeveralCaptions` once its contexts are learned: no text encoder."""

    def __init__(self, language: LanguageFeatures, contexts: int):
        super().__init__(language)
        self.contexts, self.rows = contexts, language.mask.shape[1] // contexts


class SeveralCaptions(RowsOfCaptions):
    """The caption with each of N contexts (N, M, D): class k stands at the rows of its name in all of them."""

    def __init__(self, caption: SoftCaption, vectors: Tensor):
        super().__init__()
        self.caption = caption
        self.caption.vectors = nn.Parameter(vectors)
        self.contexts, self.rows = len(vectors), len(caption.ids)
        check_length(self.contexts * self.rows)

    def forward(self, context: PromptContext) -> LanguageFeatures:
        language = self.caption.with_vectors(self.caption.vectors[:, None])  # N captions of L rows
        phrases = language.phrases
        if phrases is not None:
            phrases = phrases + self.rows * torch.arange(len(phrases), device=phrases.device)[:, None]
        return LanguageFeatures(
            hidden=language.hidden.flatten(0, 1)[None],  # (1, N L, D)
            mask=language.mask.flatten()[None],
            class_positions=language.class_positions.transpose(0, 1).flatten(1)[None],  # (1, K, N L)
            phrases=None if phrases is None else phrases.flatten()[None],
        )

    def at_test(self) -> FixedCaptions:
        return FixedCaptions(self.without_images(), self.contexts)


class TransportedRegions(ChangedScores):
    """The contexts train, and serve any classes."""

    unseen_classes = True
    options = {"contexts": 4}  # noqa: RUF012 (nobody changes it)

    def supports(self, model_name: str) -> str | None:
        return super().supports(model_name) or reason_against_regions(model_name)

    def prompt(self, model: GroundedDetector, prompt_inputs: PromptInputs) -> SeveralCaptions:
        width = prompt_inputs.text_encoder.width
        contexts = range(self.own(prompt_inputs.settings)["contexts"])
        vectors = torch.cat([random_vectors(prompt_inputs, width, shared=True) for _ in contexts])  # (N, M, D)
        return SeveralCaptions(caption_with_context(prompt_inputs, vectors[:1]), vectors)

    def needs_prompt_at_test(self, prompt: Prompt) -> bool:
        return False

    def prompt_at_test(self, language: LanguageFeatures, settings: CellSettings) -> FixedCaptions:
        return FixedCaptions(language, self.own(settings)["contexts"])

    def trainable(self, name: str, model: GroundedDetector) -> bool:
        return name == "prompt.caption.vectors"

    def adjust_predictions(
        self, model: GroundedDetector, prompt: RowsOfCaptions, predictions: Predictions
    ) -> Predictions:
        places, positions = model.scored_places(predictions), predictions.language.class_positions
        logits = transported(places, prompt.of_each(positions), model.region_points(predictions))  # (B, P, K)
        of_classes = positions.any(dim=1)[:, None]  # (B, 1, L)
        return model.with_logits(predictions, torch.where(of_classes, on_rows(logits, positions), places.logits))


def transported(places: ScoredPlaces, positions: list[Tensor], near: Tensor) -> Tensor:
    """Rows of each class in each of N captions, (B, K, L) each, and regions (P, M) -> class logits (B, P, K), in
    float32: in half precision the kernel of the plan, exp(-cost / 0.1), has zeros."""
    with torch.autocast(places.logits.device.type, enabled=False):
        features, rows = unit(places.features.float()), places.logits.float().transpose(1, 2)  # (B, P, C), (B, L, P)
        cosines, logits = [], []
        for of_caption in positions:
            texts = unit(class_means(places.texts.float(), of_caption))  # (B, K, C)
            cosines.append(features @ texts.transpose(1, 2))  # (B, P, K)
            logits.append(class_means(rows, of_caption).transpose(1, 2))
        # of the points of a region and the contexts, for each place and class: (B, P, K, M, N)
        cosine, logit = (torch.stack(each, dim=-1)[:, near].transpose(2, 3) for each in (cosines, logits))
        return (transport_plan(1 - cosine)[0] * logit).sum(dim=(-1, -2))
