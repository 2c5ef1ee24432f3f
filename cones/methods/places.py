"""Methods that change the scores of a detector's places: which place an object has, and scores of classes there."""

import torch
from torch import Tensor

from cones.methods.method import TuningMethod
from cones.methods.prompts import Prompt
from cones.models.detector import Detections, FeaturePyramid, GroundedDetector, Predictions, ScoredPlaces, Target
from cones.models.layers.boxes import pairwise_giou
from cones.models.missing_places import reason_against_scored_places
from cones.runtime.devices import float32_product


class ChangedScores(TuningMethod):
    """A method whose `adjust_predictions` changes the logits of `GroundedDetector.scored_places`: in the losses, in
    validation and at test alike."""

    def supports(self, model_name: str) -> str | None:
        return super().supports(model_name) or reason_against_scored_places(model_name)

    def detect(self, model: GroundedDetector, prompt: Prompt, pyramid: FeaturePyramid) -> list[Detections]:
        predictions = model.ground(pyramid, prompt.for_images(pyramid))
        return model.detect(self.adjust_predictions(model, prompt, predictions))


def places_of_objects(places: ScoredPlaces, targets: list[Target]) -> list[Tensor]:
    """Of each image (G,) int64: the place whose predicted box fits each object best, by generalised IoU, the first of
    equal ones."""
    return [
        pairwise_giou(target.boxes.to(boxes), boxes).argmax(dim=1) if len(target.boxes) else target.labels.new_empty(0)
        for target, boxes in zip(targets, places.boxes)
    ]


def class_means(rows: Tensor, class_positions: Tensor) -> Tensor:
    """rows (B, L, X) of a text -> (B, K, X), the mean over those of each class; zeros for a class without rows."""
    share = class_positions.to(rows.dtype)  # (B, K, L)
    return float32_product(share, rows) / share.sum(dim=-1, keepdim=True).clamp(min=1)


def class_logits(places: ScoredPlaces, class_positions: Tensor) -> Tensor:
    """(B, P, K): the mean logit of each class's rows."""
    return class_means(places.logits.transpose(1, 2), class_positions).transpose(1, 2)


def logits_of_objects(model: GroundedDetector, predictions: Predictions, targets: list[Target]) -> Tensor:
    """(G, K) float32: the class logits at the place of each object of all images, image by image."""
    places = model.scored_places(predictions)
    logits = class_logits(places, predictions.language.class_positions).float()  # (B, P, K)
    chosen = places_of_objects(places, targets)
    return torch.cat([of_image[places_of] for of_image, places_of in zip(logits, chosen)])


def on_rows(of_classes: Tensor, class_positions: Tensor) -> Tensor:
    """(B, P, K) -> (B, P, L): each row has what its class has, others 0."""
    return float32_product(of_classes, class_positions.to(of_classes.dtype))


def objects_in(targets: list[Target]) -> Tensor:
    """How many objects there are: the normaliser of a term that is a sum over them. A process may have no image."""
    device = targets[0].boxes.device if targets else None
    return torch.tensor(float(sum(len(target.boxes) for target in targets)), device=device)


def images_in(targets: list[Target]) -> Tensor:
    """How many images there are: the normaliser of a term that is a sum over them."""
    return torch.tensor(float(len(targets)), device=targets[0].boxes.device if targets else None)
