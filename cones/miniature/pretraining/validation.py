"""How well a model in pretraining finds what it is asked for, on scenes that it never trains on.

The scenes are painted as those of training, with other random numbers: neither the datasets nor their world is looked
at, so that the length of a pretraining can be chosen by these scores.
"""

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor, nn

from cones.evaluation.coco_ap import evaluate_detections
from cones.evaluation.predictions import to_coco_results
from cones.miniature.pretraining.scene_batches import SceneBatch, SceneBatches
from cones.models.detector import Detections, GroundedDetector, Target
from cones.models.language import LanguageFeatures

SCENES = 200
SEED = 10_000  # further than the seeds of recipes


@dataclass
class Validation:
    """Scenes that are asked, each, for a list of names; painted when they are first needed."""

    batches: SceneBatches
    painted: list[SceneBatch] = field(default_factory=list)

    @classmethod
    def beside(cls, training: SceneBatches) -> "Validation":
        """Scenes as those of a pretraining."""
        recipe = replace(training.recipe, images=SCENES, sentences=0.0, masks=False, seed=training.recipe.seed + SEED)
        return cls(SceneBatches(training.model, recipe, training.preprocessing, inclusive=training.inclusive))

    @torch.no_grad()
    def scores(self, detector: GroundedDetector, text_encoder: nn.Module) -> dict[str, float]:
        """{"ap", "ap50"} in percent, the mean over all names; both modules are left in train mode."""
        self.painted = self.painted or [self.batches[number] for number in range(len(self.batches))]
        detector.eval(), text_encoder.eval()
        truth = {
            "images": [],
            "annotations": [],
            "categories": [{"id": k, "name": name} for k, name in enumerate(self.batches.names, start=1)],
        }
        results: list[dict] = []
        for batch in self.painted:
            predictions = detector.ground(detector.encode_image(batch.images), language_of(batch, text_encoder))
            for row, found in enumerate(detector.detect(predictions)):
                image = len(truth["images"]) + 1
                height, width = batch.images.sizes[row]
                classes = torch.tensor([self.batches.names.index(name) for name in batch.names[row]])  # (K,)
                truth["images"].append({"id": image, "width": width, "height": height})
                truth["annotations"] += self._annotations(image, batch.targets[row], classes, truth["annotations"])
                results += self._results(image, found, classes)
        detector.train(), text_encoder.train()
        scores = evaluate_detections(truth, results, detector.detections_per_image)
        return {name: round(scores[name], 2) for name in ("ap", "ap50")}

    def _annotations(self, image: int, target: Target, classes: Tensor, earlier: list[dict]) -> list[dict]:
        corners = target.boxes + target.boxes.new_tensor([0, 0, self.batches.inclusive, self.batches.inclusive])
        return [
            {
                "id": len(earlier) + number,
                "image_id": image,
                "category_id": category + 1,
                "bbox": [left, top, right - left, bottom - top],
                "area": (right - left) * (bottom - top),
                "iscrowd": 0,
            }
            for number, ((left, top, right, bottom), category) in enumerate(
                zip(corners.tolist(), classes[target.labels].tolist()), start=1
            )
        ]

    def _results(self, image: int, found: Detections, classes: Tensor) -> list[dict]:
        inclusive = self.batches.inclusive
        boxes = found.boxes.clone()
        boxes[:, 2:] = boxes[:, 2:].maximum(boxes[:, :2] - float(inclusive))  # narrower than a pixel
        return to_coco_results(image, boxes, found.scores, classes[found.labels], inclusive=inclusive)


def language_of(batch: SceneBatch, text_encoder: nn.Module) -> LanguageFeatures:
    """What the text encoder makes of the captions of a batch."""
    hidden = text_encoder(input_ids=batch.ids, mask=batch.mask, phrases=batch.phrases)  # (B, L, D)
    return LanguageFeatures(hidden, batch.mask, batch.class_positions, batch.phrases)
