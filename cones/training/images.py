"""The training images one by one, at test size: what a method looks at before it trains, or before an epoch."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch

from cones.data.batches import Sample, Split, View
from cones.methods.method import TrainingImages
from cones.models.detector import FeaturePyramid
from cones.runtime.devices import mixed_precision
from cones.runtime.precision import Precision


def training_images(
    split: Split, pyramids: Callable[[Sequence[Sample]], FeaturePyramid], device: torch.device, precision: Precision
) -> Iterator[TrainingImages]:
    """Image by image in the order of the split, not mirrored; the maps are float32, whatever they were computed in."""
    for index in split.trainable_indices():
        sample = split.sample(View(index, split.preprocessing.short_side))
        with mixed_precision(device, precision):
            pyramid = pyramids([sample])
        pyramid = replace(pyramid, maps=[features.float() for features in pyramid.maps])
        yield TrainingImages(pyramid, [sample.target.to(device)])
