"""Prediction: a detector's COCO results for every image of a split, or for loose ones, in pixels of the originals."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from cones.data.ahead import ahead
from cones.data.batches import Sample, Split, View, groups_of_equal_size
from cones.data.loose import LoosePictures
from cones.data.masks import encoded
from cones.evaluation.predictions import to_coco_results
from cones.methods.prompts import FixedPrompt, Prompt
from cones.models.detector import Detections, FeaturePyramid, GroundedDetector
from cones.runtime.devices import mixed_precision, release_memory
from cones.runtime.precision import Precision
from cones.runtime.progress import watched

Detect = Callable[[GroundedDetector, Prompt, FeaturePyramid], list[Detections]]


def batches_at_test(split: Split | LoosePictures, short_side: int, batch_size: int = 4) -> list[list[View]]:
    """Batches of every image of the split at one size, in order."""
    views = [View(index, short_side) for index in range(len(split))]
    return [views[i : i + batch_size] for i in range(0, len(views), batch_size)]


@torch.no_grad()
def predict(
    model: GroundedDetector,
    prompt: Prompt,
    split: Split | LoosePictures,
    pyramids,
    *,
    label: str,
    detect: Detect | None = None,
    precision: Precision = "float32",
    batch_size: int = 4,
) -> list[dict]:
    """COCO results of every image of the split at the model's test size, images in id order.

    A static prompt is computed once; one that looks at the image, for each batch. `detect` is a method's rule for
    test time (`TuningMethod.detect`), by default one pass. `precision` is that of a GPU.
    """
    if prompt.is_static:
        prompt = FixedPrompt(prompt.without_images()) if detect is None else prompt.at_test()
    batches = batches_at_test(split, model.preprocessing.short_side, batch_size)
    results: dict[int, list[dict]] = {}
    device = next(model.parameters()).device
    loaded = ahead(lambda batch: [split.sample(v, at_test=True) for v in batch], batches, device_type=device.type)
    for batch in watched(loaded, label=label, total=len(batches)):
        for samples in groups_of_equal_size(batch, batch_size):
            found = detections(model, prompt, pyramids, samples, detect or one_pass, precision)
            for sample, detection in zip(samples, found):
                image = split.images[sample.view.index]
                height, width = sample.size
                boxes = detection.boxes.float()
                scale = torch.tensor([image["width"] / width, image["height"] / height] * 2, device=boxes.device)
                boxes = boxes * scale
                # narrower than a pixel, a box with inclusive corners runs backwards; enlarged, it would fall below zero
                boxes[:, 2:] = boxes[:, 2:].maximum(boxes[:, :2] - float(model.inclusive_boxes))
                results[image["id"]] = to_coco_results(
                    image["id"],
                    boxes.cpu().numpy(),
                    detection.scores.float().cpu().numpy(),
                    detection.labels.cpu().numpy(),
                    inclusive=model.inclusive_boxes,
                    segmentations=None if detection.masks is None else segmentations(detection.masks, image),
                )
    return [result for image_id in sorted(results) for result in results[image_id]]


def one_pass(model: GroundedDetector, prompt: Prompt, pyramid: FeaturePyramid) -> list[Detections]:
    return model.detect(model.ground(pyramid, prompt.for_images(pyramid)))


def detections(
    model: GroundedDetector, prompt: Prompt, pyramids, samples: list[Sample], detect: Detect, precision: Precision
) -> list[Detections]:
    """Detections of samples of one padded size; after an out-of-memory error, of one half after the other."""
    device = next(model.parameters()).device
    try:
        with mixed_precision(device, precision):
            return detect(model, prompt, pyramids(samples))
    except torch.OutOfMemoryError:
        if len(samples) == 1:
            raise
    release_memory(device)
    half = len(samples) // 2
    halves = (samples[:half], samples[half:])
    found = (detections(model, prompt, pyramids, part, detect, precision) for part in halves)
    return [detection for part in found for detection in part]


def segmentations(masks: Tensor, image: dict) -> list[dict]:
    """(M, h, w) bool of the resized image -> RLE of the original, nearest rule (docs/spec/uninext.md 12)."""
    size = (image["height"], image["width"])
    enlarged = (F.interpolate(mask[None, None].byte(), size, mode="nearest")[0, 0] for mask in masks)  # (H, W) each
    return [encoded(mask.cpu().numpy()) for mask in enlarged]
