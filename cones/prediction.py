"""A detector over a split: images in, COCO results in original pixels out."""

import torch
from torch import Tensor
from torch.nn import functional as F

from cones.data.batches import Split, View, groups_of_equal_size
from cones.data.masks import encoded
from cones.devices import mixed_precision
from cones.evaluation.predictions import to_coco_results
from cones.language import LanguageFeatures
from cones.models.detector import GroundedDetector
from cones.progress import watched


def batches_at_test(split: Split, short_side: int, batch_size: int = 4) -> list[list[View]]:
    """Every image of the split at one size, in order."""
    views = [View(index, short_side) for index in range(len(split))]
    return [views[i : i + batch_size] for i in range(0, len(views), batch_size)]


@torch.no_grad()
def predict(
    model: GroundedDetector, language: LanguageFeatures, split: Split, pyramids, *, label: str, batch_size: int = 4
) -> list[dict]:
    """COCO results of every image of the split at the model's test size, images in id order."""
    batches = batches_at_test(split, model.preprocessing.short_side, batch_size)
    results: dict[int, list[dict]] = {}
    for batch in watched(batches, label=label):
        for samples in groups_of_equal_size([split.sample(view, at_test=True) for view in batch], batch_size):
            with mixed_precision(language.hidden.device):
                pyramid = pyramids(samples)
                detections = model.detect(model.ground(pyramid, language.for_batch(len(samples))))
            for sample, found in zip(samples, detections):
                image = split.images[sample.view.index]
                height, width = sample.size
                scale = torch.tensor([image["width"] / width, image["height"] / height] * 2, device=found.boxes.device)
                boxes = found.boxes.float() * scale
                # narrower than a pixel, a box with inclusive corners runs backwards; enlarged, it would fall below zero
                boxes[:, 2:] = boxes[:, 2:].maximum(boxes[:, :2] - float(model.inclusive_boxes))
                results[image["id"]] = to_coco_results(
                    image["id"],
                    boxes.cpu().numpy(),
                    found.scores.float().cpu().numpy(),
                    found.labels.cpu().numpy(),
                    inclusive=model.inclusive_boxes,
                    segmentations=None if found.masks is None else segmentations(found.masks, image),
                )
    return [result for image_id in sorted(results) for result in results[image_id]]


def segmentations(masks: Tensor, image: dict) -> list[dict]:
    """(M, h, w) bool of the resized image -> RLE of the original, by the nearest rule of PyTorch (UNINEXT spec 12)."""
    size = (image["height"], image["width"])
    enlarged = (F.interpolate(mask[None, None].byte(), size, mode="nearest")[0, 0] for mask in masks)  # (H, W) each
    return [encoded(mask.cpu().numpy()) for mask in enlarged]
